// Two replicas behind HAProxy, as units/haproxy/haproxy.cfg has it: one leaves and comes back under
// load, and no caller notices.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { API_KEY, ask, chat, stream } from './http_kit.mjs';
import { Provider, isOver, lone, openai } from './pair_kit.mjs';
import { Program } from './program.mjs';
import { Sidecar, buildDir, freePort, needsCodex, onPath, until, withDeadline } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const config = path.resolve(here, '../../units/haproxy/haproxy.cfg');
const balancer = ['haproxy', '/usr/sbin/haproxy', '/usr/local/sbin/haproxy']
  .map((name) => (name.startsWith('/') ? fs.existsSync(name) && name : onPath(name))).find(Boolean);

// The programs under a sanitizer have their turn in the tests at the end.
const slow = /\/san$/.test(buildDir) ? 'done without sanitizers already' : undefined;

class Haproxy extends Program {
  // The shipped file with other addresses.
  static async start(ports) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'haproxy-'));
    const file = path.join(dir, 'haproxy.cfg');
    const port = await freePort();
    const text = fs.readFileSync(config, 'utf8')
      .replace('bind :8080', `bind 127.0.0.1:${port}`)
      .replace('10.0.0.11:3460', `127.0.0.1:${ports[0]}`)
      .replace('10.0.0.12:3460', `127.0.0.1:${ports[1]}`);
    assert.doesNotMatch(text, /8080|10\.0\.0\.1/);
    fs.writeFileSync(file, text);
    const haproxy = new Haproxy(balancer, ['-db', '-f', file]);
    haproxy.port = port;
    haproxy.dir = dir;
    await until(async () => (await haproxy.readyz()) === 200, 'haproxy to serve');
    return haproxy;
  }

  readyz() {
    return ask(this.port, { path: '/readyz' }).then(({ status }) => status, () => 0);
  }

  // What it says of a replica: "Server replicas/one is DOWN, ..."
  said(server, state, from) {
    const what = `Server replicas/${server} is ${state}`;
    return this.out.first((l) => l.text.includes(what), what, from);
  }
}

describe('two replicas behind HAProxy', {
  skip: needsCodex.skip ?? slow ?? (balancer ? false : 'no haproxy: the Debian package haproxy has it'),
}, () => {
  let provider, one, two, haproxy;

  async function replica() {
    const s = new Sidecar({
      proxy: null, codex: null, config: provider.toml,
      env: {
        CODEX_PROXY_PORT: String(await freePort()),
        CODEX_PROXY_API_KEY: API_KEY,
        CODEX_PROXY_RATE_LIMIT: '0',
        CODEX_LOG_LEVEL: 'info',
        CODEX_DRAIN_DELAY_MS: '4000', // two checks of a second, and a slow machine
      },
    });
    s.start();
    return s;
  }

  before(async () => {
    provider = await Provider.start();
    [one, two] = [await replica(), await replica()];
    await Promise.all([one.ready(), two.ready()]);
    haproxy = await Haproxy.start([one.port, two.port]);
  });

  after(async () => {
    await haproxy?.kill('SIGUSR1').catch(() => haproxy.kill());
    if (haproxy) fs.rmSync(haproxy.dir, { recursive: true, force: true });
    const ends = [one, two].filter(Boolean).map(async (s) => {
      assert.deepEqual(await s.stop(), { code: 0, signal: null });
      await s.dispose();
    });
    await Promise.all(ends);
    await provider?.kill();
  });

  // Turns of this replica that ended well.
  const served = (s) => s.lines.filter((l) => /outcome=(stop|tool_calls)/.test(l.msg ?? '')).length;

  // So many callers at once, each with one stream after the other, until they are told to stop.
  function load(t, callers) {
    const l = { answers: 0, failed: [], goes: true };
    const one = async () => {
      const s = stream(haproxy.port, '!say 8 40 word');
      const end = await s.end().catch((error) => error.message);
      const good = end === 'whole' && s.status === 200 && s.events.all.at(-1)?.data === '[DONE]' && !s.error;
      if (good) l.answers++;
      else l.failed.push(`${end} ${s.status} ${s.rest} ${JSON.stringify(s.error)}`);
    };
    const caller = async () => {
      while (l.goes) await one();
    };
    const all = Promise.all(Array.from({ length: callers }, caller));
    t.after(() => l.stop());
    l.stop = () => {
      l.goes = false;
      return withDeadline(all, 'the end of the load');
    };
    return l;
  }

  // Who answered the request with this id?
  const server = (id) => until(() => [one, two].find((s) => s.lines.some(isOver(id))), `the end of ${id}`);

  test('one leaves and comes back under load, and no request fails', async (t) => {
    // leastconn: one for each replica; each begins before that one leaves, and ends long after
    const long = [1, 2].map(() => stream(haproxy.port, '!say 70 100 long'));
    await Promise.all(long.map((s) => s.text('long1')));
    const l = load(t, 16);
    await until(() => l.answers > 16, 'the load to run');
    const mark = one.mark, from = haproxy.out.mark;
    const end = one.stop();
    const down = await haproxy.said('one', 'DOWN', from);
    assert.match(down.text, /code: 503/, 'it is still there, and says so');
    await one.line((x) => x.msg === 'draining: no new requests', 'the end of the delay', mark);
    assert.deepEqual(await end, { code: 0, signal: null });
    const whileAway = l.answers;
    one.start();
    await one.line((x) => /^ready: serving/.test(x.msg ?? ''), 'ready again', mark);
    await haproxy.said('one', 'UP', from);
    await until(() => l.answers > whileAway, 'answers meanwhile');
    const before = served(one);
    await until(() => served(one) > before + 4, 'it to take its share again');
    await l.stop();
    for (const s of long) assert.equal(await s.end(), 'whole');
    t.diagnostic(`${l.answers} answers, ${whileAway} of them before it was gone`);
    assert.deepEqual(l.failed, []);
    assert.deepEqual(long.map((s) => /long69\s*$/.test(s.content) && !s.error), [true, true]);
  });

  test('a conversation with a tool that begins on one ends on the other', async () => {
    const { chat } = openai(haproxy.port);
    const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }];
    const messages = [{ role: 'user', content: '!tool get_weather {"city":"Paris"}' }];
    const create = (id) => chat.completions.create({ messages, tools }, { headers: { 'x-request-id': id } });
    const { message } = (await create('begins')).choices[0];
    const first = await server('begins');
    const name = first === one ? 'one' : 'two';
    const from = haproxy.out.mark;
    assert.equal((await first.cli('drain', 'proxy', '--no-wait')).code, 0);
    await haproxy.said(name, 'DOWN', from);
    const [call] = message.tool_calls;
    messages.push(message, { role: 'tool', tool_call_id: call.id, content: 'sunny' });
    const answer = await create('ends');
    assert.equal(answer.choices[0].message.content, 'The tool said: sunny');
    assert.notEqual(await server('ends'), first);
    // for the next one to find both
    assert.equal((await first.cli('start', 'proxy')).code, 0);
    await haproxy.said(name, 'UP', from);
  });

  test('a proxy that another one replaces says nothing of leaving', async () => {
    const mark = one.mark;
    assert.equal((await one.cli('reload', 'proxy')).code, 0);
    await one.became('proxy', 'stopped', mark);
    assert.ok(!one.lines.slice(mark).some((l) => /draining in|no new requests/.test(l.msg ?? '')));
  });
});

test('a proxy alone goes on serving for CODEX_DRAIN_DELAY_MS, and asks for other connections', async (t) => {
  const f = await lone(t, { env: { CODEX_DRAIN_DELAY_MS: '2500' } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const kept = await ask(f.port, { path: '/v1/models', agent });
  assert.notEqual(kept.headers.connection, 'close');
  f.proxy.process.kill('SIGTERM');
  await until(async () => (await f.proxy.readyz()).status === 503, 'not ready');
  const [again, fresh] = [await chat(f.port, '!say 1 0 old', {}, { agent }), await chat(f.port, '!say 1 0 new')];
  assert.deepEqual([again.status, again.headers.connection], [200, 'close']);
  assert.deepEqual([fresh.status, fresh.headers.connection], [200, 'close']);
  const running = stream(f.port, '!say 30 100 on');
  await running.text('on0');
  await f.proxy.line((l) => l.msg === 'draining: no new requests', 'the end of the delay');
  // the line comes a moment before the port closes: who calls in between is reset
  const refused = () => ask(f.port, { path: '/healthz' }).then(() => false, ({ code }) => code === 'ECONNREFUSED');
  await until(refused, 'new callers to be refused', 5000);
  assert.equal(await running.end(), 'whole');
});

test('a second SIGTERM ends the delay', async (t) => {
  const f = await lone(t, { env: { CODEX_DRAIN_DELAY_MS: '25000' } });
  f.proxy.process.kill('SIGTERM');
  await until(async () => (await f.proxy.readyz()).status === 503, 'not ready');
  const at = Date.now();
  f.proxy.process.kill('SIGTERM');
  assert.deepEqual(await f.proxy.exited, { code: 0, signal: null });
  assert.ok(Date.now() - at < 10000);
});
