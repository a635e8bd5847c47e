// Many at once, one after the other, and some who leave: nothing is mixed up, nothing stays.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Stream, assertError, assertShape, assertWellFormed, chat, chatBody, stream } from './http_kit.mjs';
import { AppServerClient, FakeAppServer, Pair, lone, noThreadIsLoaded } from './pair_kit.mjs';
import { needsCodex, until, withDeadline } from './supervisor_kit.mjs';

describe('many requests', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start({ env: { CODEX_MAX_CONCURRENT: '64', CODEX_MAX_QUEUE_DEPTH: '200' } });
  });
  after(() => p?.stop());

  test('64 streams at once: each gets its own text, all of it, and nothing is left', async () => {
    const streams = Array.from({ length: 64 }, (_, i) => stream(p.port, `!say 20 20 s${i}-\n!usage ${100 + i} 0 ${i} 0`,
      { stream_options: { include_usage: true } }));
    await Promise.all(streams.map((s) => s.end()));
    streams.forEach((s, i) => {
      assert.equal(s.status, 200);
      const expected = Array.from({ length: 20 }, (_, n) => `s${i}-${n} `).join('');
      assert.equal(assertWellFormed(s.chunks, { usage: true }), expected);
      assert.equal(s.chunks.at(-1).usage.prompt_tokens, 100 + i);
    });
    assert.equal(new Set(streams.map((s) => s.chunks[0].id)).size, 64);
    await p.assertIdle();
  });

  test('they run at the same time, not one after the other', async () => {
    const before = p.provider.out.mark;
    const streams = Array.from({ length: 64 }, (_, i) => stream(p.port, `!part together${i}\n!stall`));
    await Promise.all(streams.map((s, i) => s.text(`together${i}`)));
    assert.equal(await p.inFlight(), 64);
    for (const s of streams) s.abort();
    const aborted = () => p.provider.out.all.slice(before).filter((l) => l.event === 'aborted').length;
    while (aborted() < 64) await p.provider.told('aborted', undefined, p.provider.out.mark);
    await p.assertIdle();
  });

  test('64 whole answers at once, tool calls and failures among them', async () => {
    const kinds = [
      (i) => [`!say 2 0 w${i}-`, 200, (a) => assert.equal(a.json.choices[0].message.content, `w${i}-0 w${i}-1 `)],
      (i) => [`!tool t${i} {"i":${i}}`, 200, (a) =>
        assert.equal(a.json.choices[0].message.tool_calls[0].function.arguments, `{"i":${i}}`)],
      (i) => [`!status 400 {"error":{"message":"mine is ${i}","type":"invalid_request_error","code":"invalid_prompt"}}`,
        400, (a) => assert.match(a.json.error.message, new RegExp(`mine is ${i}\\b`))],
    ];
    await Promise.all(Array.from({ length: 64 }, async (_, i) => {
      const [directive, status, check] = kinds[i % 3](i);
      const answer = await chat(p.port, directive);
      assert.equal(answer.status, status, answer.text);
      check(answer);
    }));
    await p.assertIdle();
  });

  // What the folder takes on disk, as du tells it.
  function diskUse(folder) {
    let bytes = 0;
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      bytes += entry.isDirectory() ? diskUse(file) : fs.lstatSync(file).blocks * 512;
    }
    return bytes;
  }

  test("over 200 turns the app-server's home does not grow", async () => {
    const home = path.join(p.sidecar.state, 'home-0');
    const turns = (n) => Promise.all(Array.from({ length: 4 }, async () => {
      for (let i = 0; i < n / 4; i++) assert.equal((await chat(p.port, '!say 5 0 tok')).status, 200);
    }));
    await turns(20);
    const before = diskUse(home);
    await turns(200);
    const grown = diskUse(home) - before;
    assert.ok(grown <= 0, `${grown} bytes more than ${before}`);
    await p.assertIdle();
  });
});

describe('callers who leave', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start({ env: { CODEX_MAX_CONCURRENT: '1', CODEX_MAX_QUEUE_DEPTH: '3', CODEX_SSE_HEADER_DELAY_MS: '20' } });
  });
  after(() => p?.stop());

  // Leaves once `sign` has come; the model's request must end at once, and the slot be free.
  async function leaves(s, sign, directive) {
    await sign();
    const { number } = await p.provider.requestWith(directive);
    const left = Date.now();
    s.abort();
    await p.provider.told('aborted', number);
    assert.ok(Date.now() - left < 2000, `the model was left running for ${Date.now() - left} ms`);
    await until(async () => (await p.inFlight()) === 0, 'the slot to be free');
    assert.equal((await chat(p.port, '!say 1 0 next')).json.choices[0].message.content, 'next');
    await p.assertIdle();
  }

  test('a stream, in the middle of the text', async () => {
    const s = stream(p.port, '!part gone1\n!stall');
    await leaves(s, () => s.text('gone1'), '!part gone1');
  });

  test('a stream, before anything came', async () => {
    const s = stream(p.port, '!hang\ngone2');
    await leaves(s, () => p.provider.requestWith('gone2'), 'gone2');
  });

  test('a whole answer that is still being made', async () => {
    const s = new Stream(p.port, chatBody('!part gone3\n!stall'));
    await leaves(s, () => p.provider.requestWith('gone3'), 'gone3');
  });

  test('the SDK, by its abort controller', async () => {
    const controller = new AbortController();
    const iterator = await p.client.chat.completions.create(
      { model: 'gpt-5.5', stream: true, messages: [{ role: 'user', content: '!part gone4\n!stall' }] },
      { signal: controller.signal },
    );
    const s = { abort: () => controller.abort() };
    const reading = (async () => {
      for await (const chunk of iterator) void chunk;
    })().catch(() => {});
    await leaves(s, () => p.provider.requestWith('gone4'), 'gone4');
    await reading;
  });

  test('in the queue: the model is never asked, and the next in line moves up', async () => {
    const running = stream(p.port, '!part holds\n!stall');
    await running.text('holds');
    const leaver = stream(p.port, '!say 1 0 leaves the queue', {}, { headers: { 'x-request-id': 'leaver' } });
    await until(async () => (await p.inFlight()) === 2, 'the leaver to wait');
    const stayer = stream(p.port, '!say 1 0 stays');
    await until(async () => (await p.inFlight()) === 3, 'the stayer to wait');
    leaver.abort();
    await p.over('leaver');
    assert.equal(await p.inFlight(), 2);
    running.abort();
    await stayer.end();
    assert.equal(assertWellFormed(stayer.chunks), 'stays');
    assert.ok(!p.provider.requests.some((r) => r.text.includes('leaves the queue')));
    await p.assertIdle();
  });

  test('first come, first served; over the depth 503 with Retry-After', async () => {
    const running = stream(p.port, '!part first\n!stall');
    await running.text('first');
    const from = p.provider.out.mark;
    const waiting = [];
    for (let i = 0; i < 3; i++) {
      waiting.push(stream(p.port, `!say 1 0 waiter${i}`));
      await until(async () => (await p.inFlight()) === 2 + i, 'one more to wait');
    }
    const refused = await chat(p.port, '!say 1 0 too many');
    assertError(refused, 503, { type: 'server_error', code: 'queue_full' });
    assert.ok(Number(refused.headers['retry-after']) > 0);
    running.abort();
    await withDeadline(Promise.all(waiting.map((s) => s.end())), 'all who waited');
    const order = p.provider.out.all.slice(from).map((l) => /waiter(\d)/.exec(l.text ?? '')?.[1]).filter(Boolean);
    assert.deepEqual(order, ['0', '1', '2']);
    await p.assertIdle();
  });

  test('a thread that a stranger left in the app-server disturbs nobody', async () => {
    const stranger = await AppServerClient.connect(p.socketUrl);
    await stranger.call('thread/start', { ephemeral: true, cwd: p.sidecar.state });
    assert.equal((await stranger.loadedThreads()).length, 1);
    assert.equal((await chat(p.port, '!say 1 0 fine')).status, 200);
    stranger.close();
    await p.assertIdle();
  });
});

// LOAD_REQUESTS=2000 for the long form.
const REQUESTS = Number(process.env.LOAD_REQUESTS ?? 600);
const KILL_MS = 2000;

const filesOf = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

describe('the app-server is killed every 2 s', () => {
  // What one request got: 'right', or 'error' where its stream had been committed.
  async function one(port, i) {
    const text = `l${i}-`;
    const whole = Array.from({ length: 10 }, (_, n) => `${text}${n} `).join('');
    if (i % 3 === 0) {
      const answer = await chat(port, `!say 10 20 ${text}`);
      assert.equal(answer.status, 200, answer.text); // it had sent nothing: it is begun again
      assert.equal(answer.json.choices[0].message.content, whole);
      return 'right';
    }
    if (i % 3 === 1) {
      const answer = await chat(port, `!wait 50\n!tool f${i} {"i":${i}}`);
      assert.equal(answer.status, 200, answer.text);
      const [call, ...more] = answer.json.choices[0].message.tool_calls;
      assert.deepEqual([call.function.name, call.function.arguments, more.length], [`f${i}`, `{"i":${i}}`, 0]);
      return 'right';
    }
    const s = stream(port, `!say 10 20 ${text}`);
    assert.equal(await s.end(), 'whole');
    assert.equal(s.status, 200, s.rest);
    if (!s.error) {
      assert.equal(assertWellFormed(s.chunks), whole);
      return 'right';
    }
    assertShape('ErrorResponse', s.chunks.at(-1));
    assert.equal(s.error.code, 'backend_lost');
    assert.ok(s.content !== '' && whole.startsWith(s.content), `an error only after "${s.content}"`);
    assert.equal(s.events.all.at(-1).data, '[DONE]');
    return 'error';
  }

  test(`${REQUESTS} requests: each gets a right answer, or an error after its first word`, { timeout: 400000 }, async (t) => {
    const f = await lone(t, { env: { CODEX_MAX_CONCURRENT: '16', CODEX_MAX_QUEUE_DEPTH: '64', CODEX_LOG_LEVEL: 'info' } });
    await chat(f.port, '!say 1 0 warm');
    const files = filesOf(f.proxy.pid);
    const counts = { right: 0, error: 0 };
    let next = 0;
    let kills = 0;
    const workers = Promise.all(Array.from({ length: 32 }, async () => {
      while (next < REQUESTS) counts[await one(f.port, next++)]++;
    }));
    let over = false;
    workers.then(() => (over = true), () => (over = true));
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, KILL_MS));
      await f.fake.kill();
      kills++;
      f.fake = await FakeAppServer.start(f.fake.url);
    }
    await workers;
    t.diagnostic(`${counts.right} right, ${counts.error} errors after the first word, ${kills} kills`);
    assert.equal(counts.right + counts.error, REQUESTS);
    assert.ok(kills >= 2, `${kills} kills`);
    assert.ok(counts.error < kills * 16, `${counts.error} errors of ${kills} kills`);
    await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
    const { json } = await f.proxy.readyz();
    assert.deepEqual([json.in_flight, json.queued], [0, 0]);
    await until(() => filesOf(f.proxy.pid) <= files, `no more than ${files} files`);
    await noThreadIsLoaded(f.fake.url);
  });
});

describe('memory', () => {
  // A sanitizer keeps what is freed, and pads what is not.
  const sanitized = /san/.test(process.env.SIDECAR_BUILD ?? '');

  test('a reader that stops in a stream of 200,000 pieces costs less than 2 MB', async (t) => {
    const f = await lone(t, { env: { CODEX_MAX_RESPONSE_SIZE: '100000000', CODEX_LOG_LEVEL: 'info' } });
    await chat(f.port, '!flood 20000'); // warm
    const before = f.proxy.rssKb;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, f.proxy.rssKb)), 2);
    t.after(() => clearInterval(watch));
    const stalled = stream(f.port, '!flood 200000', {}, { until: new Promise(() => {}), headers: { 'x-request-id': 'stalled' } });
    await stalled.opened;
    await f.proxy.over('stalled');
    clearInterval(watch);
    stalled.abort();
    t.diagnostic(`grew by ${peak - before} KB`);
    if (!sanitized) assert.ok(peak - before < 2048, `grew by ${peak - before} KB`);
    assert.equal((await chat(f.port, '!say 1 0 well')).status, 200);
  });

  test('1,000 slow streams at once: all complete, under 32 KB each', async (t) => {
    const MANY = 1000;
    const f = await lone(t, { env: { CODEX_MAX_CONCURRENT: String(MANY), CODEX_MAX_QUEUE_DEPTH: '0', CODEX_LOG_LEVEL: 'warning' } });
    await chat(f.port, '!say 1 0 warm');
    const before = f.proxy.rssKb;
    const streams = Array.from({ length: MANY }, (_, i) => stream(f.port, `!part s${i}\n!wait 100\n!say 20 300 s${i}-`));
    await withDeadline(Promise.all(streams.map((s, i) => s.text(`s${i}`))), 'all of them to have begun');
    const { in_flight: running } = (await f.proxy.readyz()).json;
    assert.ok(running > MANY * 0.8, `${running} at once`); // the first may be over on a slow machine
    const each = (f.proxy.rssKb - before) / running;
    await Promise.all(streams.map((s) => s.end()));
    streams.forEach((s, i) => {
      const expected = Array.from({ length: 20 }, (_, n) => `s${i}-${n} `).join('');
      assert.equal(assertWellFormed(s.chunks), `s${i}\n\n${expected}`);
    });
    t.diagnostic(`${each} KB each`);
    if (!sanitized) assert.ok(each < 32, `${each} KB each`);
  });
});
