// kill -9 of each of the three, idle and at work: serving again without help, nobody refused,
// nothing left behind.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { API_KEY, ask, assertShape, assertWellFormed, chat, chatBody, stream } from './http_kit.mjs';
import { pair } from './pair_kit.mjs';
import { descendantsOf, needsCodex, realCodex, until, withDeadline } from './supervisor_kit.mjs';

const fine = async (p, text) => {
  const answer = await chat(p.port, `!say 1 0 ${text}`);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.choices[0].message.content, text);
};

async function killed(p, app) {
  const { pid } = await p.sidecar.app(app);
  process.kill(pid, 'SIGKILL');
  return pid;
}

test('the app-server, while idle: the next request is served, by the same proxy', needsCodex, async (t) => {
  const p = await pair(t);
  await fine(p, 'before');
  const proxy = await p.sidecar.app('proxy');
  await killed(p, 'app-server-0');
  await fine(p, 'right after'); // waits for the new one
  const after = await p.sidecar.app('proxy');
  assert.deepEqual([after.pid, after.restarts], [proxy.pid, 0]);
  assert.equal((await p.sidecar.app('app-server-0')).restarts, 1);
  assert.equal((await p.sidecar.status()).ready, true);
  await p.assertIdle();
});

test('the app-server, at work: uncommitted requests begin again, committed ones end well-formed', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_SSE_HEADER_DELAY_MS: '20' } });
  const committed = stream(p.port, '!part some text\n!stall');
  await committed.text('some text');
  const from = p.provider.out.mark;
  const opened = stream(p.port, '!silent 1500\n!say 1 0 second chance'); // headers sent, no text
  const whole = chat(p.port, '!silent 1500\n!say 1 0 whole again');
  await opened.first((e) => e.json, 'the role chunk');
  await p.provider.requestWith('second chance', from);
  await p.provider.requestWith('whole again', from);
  await killed(p, 'app-server-0');

  assert.equal(await committed.end(), 'whole');
  assert.equal(committed.content, 'some text');
  const [error] = committed.chunks.slice(-1);
  assertShape('ErrorResponse', error);
  assert.deepEqual([error.error.type, error.error.code], ['server_error', 'backend_lost']);
  assert.equal(committed.events.all.at(-1).data, '[DONE]');

  assert.equal(await opened.end(), 'whole');
  assert.equal(assertWellFormed(opened.chunks), 'second chance');
  const answer = await whole;
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.choices[0].message.content, 'whole again');
  const asked = (text) => p.provider.requests.filter((r) => r.text.includes(text)).length;
  assert.deepEqual([asked('second chance'), asked('whole again'), asked('some text')], [2, 2, 1]);
  await p.assertIdle();
});

test('the app-server, again and again, under load: every request gets an end', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_MAX_CONCURRENT: '8', CODEX_MAX_QUEUE_DEPTH: '100' } });
  let stop = false;
  let served = 0;
  const worker = async (w) => {
    for (let i = 0; !stop; i++) {
      if (i % 3 === 0) await fine(p, `whole${w}-${i}`); // it had sent nothing: it is begun again
      const s = stream(p.port, `!say 10 5 w${w}-${i}-`);
      assert.equal(await s.end(), 'whole');
      if (s.status === 200 && !s.error) {
        const expected = Array.from({ length: 10 }, (_, n) => `w${w}-${i}-${n} `).join('');
        assert.equal(assertWellFormed(s.chunks), expected);
        served++;
      } else {
        assert.ok(s.status >= 500 || s.error.code === 'backend_lost', `${s.status} ${s.error?.code}`);
      }
    }
  };
  const workers = Promise.all(Array.from({ length: 8 }, (_, w) => worker(w)));
  for (let i = 0; i < 3; i++) {
    const from = p.sidecar.mark;
    await until(() => served > (i + 1) * 10, 'some to be served');
    await killed(p, 'app-server-0');
    await p.sidecar.became('app-server-0', 'ready', from);
  }
  await fine(p, 'well again');
  stop = true;
  await withDeadline(workers, 'every request to end');
  await p.assertIdle();
});

test('one of two app-servers: the other one goes on, and takes what had not begun', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_APP_SERVER_INSTANCES: '2', CODEX_MAX_CONCURRENT: '8' } });
  for (const app of ['app-server-0', 'app-server-1']) await p.sidecar.became(app, 'ready');
  await until(async () => (await spread(p)) === 2, 'the turns to be spread over both');
  const streams = Array.from({ length: 4 }, (_, i) => stream(p.port, `!part both${i}\n!stall`));
  await Promise.all(streams.map((s, i) => s.text(`both${i}`)));
  await killed(p, 'app-server-0');
  await Promise.any(streams.map((s) => s.end()));
  for (let i = 0; i < 5; i++) await fine(p, `one is enough ${i}`);
  const lost = streams.filter((s) => s.error);
  assert.ok(lost.length > 0 && lost.length < 4, `${lost.length} of 4 lost`);
  for (const s of lost) assert.equal(s.error.code, 'backend_lost');
  for (const s of streams) s.abort();
});

// How many app-servers have asked the model, by the two that run at once.
async function spread(p) {
  const from = p.provider.out.mark;
  const two = [0, 1].map((i) => stream(p.port, `!part spread${i}\n!stall`));
  await Promise.all(two.map((s, i) => s.text(`spread${i}`)));
  for (const s of two) s.abort();
  await p.provider.told('aborted', undefined, from);
  const installations = p.provider.out.all.slice(from).filter((l) => l.body)
    .map((l) => /installation_id[^0-9a-f]+([0-9a-f-]{36})/.exec(l.text)[1]);
  return new Set(installations).size;
}

// A connection of its own, with the request sent before anybody can accept it.
function connect(port, text) {
  const body = chatBody(`!say 1 0 ${text}`);
  const request = http.request({
    host: '127.0.0.1', port, method: 'POST', path: '/v1/chat/completions', agent: false,
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
  });
  request.end(body);
  return withDeadline(new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', async (response) => {
      let all = '';
      for await (const chunk of response) all += chunk;
      resolve({ status: response.statusCode, all });
    });
  }), `answer to ${text}`);
}

test('the proxy: callers that come while it restarts are served, none is refused', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_MAX_CONCURRENT: '16', CODEX_MAX_QUEUE_DEPTH: '200' } });
  const { pid: appServer } = await p.sidecar.app('app-server-0');
  for (const round of [1, 2]) {
    const from = p.sidecar.mark;
    const { pid } = await p.sidecar.app('proxy');
    process.kill(pid, 'SIGSTOP'); // whoever comes now is not accepted by it
    const early = Array.from({ length: 10 }, (_, i) => connect(p.port, `early ${round}.${i}`));
    process.kill(pid, 'SIGKILL');
    const late = [];
    const ready = p.sidecar.became('proxy', 'ready', from).then(() => true);
    for (let i = 0; !(await Promise.race([ready, new Promise((r) => setImmediate(r, false))])); i++) {
      late.push(connect(p.port, `late ${round}.${i}`));
      if (late.length >= 40) await ready;
    }
    const answers = await Promise.all([...early, ...late]);
    assert.deepEqual(answers.filter((a) => a.status !== 200), []);
    assert.ok(late.length > 0);
  }
  const app = await p.sidecar.app('app-server-0');
  assert.deepEqual([app.pid, app.restarts], [appServer, 0], 'the app-server is left alone');
  await p.assertIdle();
});

test('the proxy, at work: the caller sees a cut stream, never one that looks complete', needsCodex, async (t) => {
  const p = await pair(t);
  const from = p.sidecar.mark;
  const s = stream(p.port, '!part cut off\n!stall');
  await s.text('cut off');
  await killed(p, 'proxy');
  assert.equal(await s.end(), 'cut');
  assert.ok(s.chunks.every((c) => !c.choices[0].finish_reason));
  assert.ok(!s.events.all.some((e) => e.data === '[DONE]'));
  await p.sidecar.became('proxy', 'ready', from);
  await fine(p, 'after the proxy');
});

function npmShim() {
  const candidates = [realCodex, path.resolve(fs.realpathSync(realCodex), '../../../../../codex/bin/codex.js')];
  return candidates.find((file) => fs.existsSync(file) && fs.readFileSync(file).subarray(0, 2).toString() === '#!');
}

for (const what of ['idle', 'at work']) {
  test(`the supervisor, ${what}, with npm's shim as codex: no child survives`, needsCodex, async (t) => {
    const shim = npmShim();
    const p = await pair(t, { env: shim ? { CODEX_BIN: shim } : {} });
    p.stop = () => p.dispose(); // there is nothing left to stop in good order
    const { apps } = await p.sidecar.status();
    for (const app of apps) {
      const ppid = /\) . (\d+)/.exec(fs.readFileSync(`/proc/${app.pid}/stat`, 'utf8'))[1];
      assert.equal(Number(ppid), p.sidecar.pid, `${app.name} is a direct child`);
    }
    const { pid } = apps.find((a) => a.name === 'app-server-0');
    assert.equal(path.basename(fs.readlinkSync(`/proc/${pid}/exe`)), 'codex');
    let s;
    if (what === 'at work') {
      s = stream(p.port, '!part orphan\n!stall');
      await s.text('orphan');
    }
    p.sidecar.process.kill('SIGKILL');
    await p.sidecar.exited;
    // one that is being torn down has lost its environment already, but is still there
    await until(() => apps.every((app) => isGone(app.pid)), 'the apps to be gone', 5000);
    await until(() => descendantsOf(p.sidecar.pid).length === 0, 'all of them to be gone', 5000);
    if (s) assert.equal(await s.end(), 'cut');
    await assert.rejects(ask(p.port, { path: '/healthz' }), { code: 'ECONNREFUSED' });
  });
}

function isGone(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].startsWith('Z');
  } catch {
    return true;
  }
}

test('SIGTERM in the middle of a stream: it is finished first', needsCodex, async (t) => {
  const p = await pair(t);
  const s = stream(p.port, '!say 20 50 to the end');
  await s.text('to the end0 ');
  const stopped = p.sidecar.stop();
  assert.equal(await s.end(), 'whole');
  assert.match(assertWellFormed(s.chunks), /^to the end0 .*to the end19 $/);
  assert.deepEqual(await stopped, { code: 0, signal: null });
});
