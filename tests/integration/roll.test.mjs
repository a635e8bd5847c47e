// Planned restarts: of app-servers without a gap, of the proxy without a refused caller.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertWellFormed, chat, stream } from './http_kit.mjs';
import { pair } from './pair_kit.mjs';
import { descendantsOf, needsCodex, sidecar, until, withDeadline } from './supervisor_kit.mjs';

// How long the one long stream of the rolling restart runs; 60 as its acceptance wants it takes
// two minutes.
const LONG_S = Number(process.env.SIDECAR_LONG_STREAM_S ?? 3);
const CALLERS = 16;

const ok = (answer) => assert.deepEqual(answer.result, {}, JSON.stringify(answer.error));

// CALLERS streams at any time until stop(), which gives what has failed.
function load(port) {
  let stopped = false;
  const failed = [];
  const figures = { served: 0, worst: 0 };
  const caller = async (c) => {
    for (let i = 0; !stopped; i++) {
      const begin = Date.now();
      const s = stream(port, `!say 10 10 c${c}-${i}-`);
      const end = await s.end();
      figures.worst = Math.max(figures.worst, Date.now() - begin);
      const expected = Array.from({ length: 10 }, (_, n) => `c${c}-${i}-${n} `).join('');
      if (end !== 'whole' || s.status !== 200 || s.error || s.content !== expected)
        failed.push({ end, status: s.status, error: s.error, content: s.content });
      else figures.served++;
    }
  };
  const all = Promise.all(Array.from({ length: CALLERS }, (_, c) => caller(c)));
  const stop = async () => {
    stopped = true;
    await withDeadline(all, 'all callers to have their answers');
    return failed;
  };
  return { stop, figures };
}

for (const instances of [1, 2]) {
  test(`a rolling restart of ${instances} under load fails no request`, needsCodex, async (t) => {
    const p = await pair(t, {
      env: {
        CODEX_APP_SERVER_INSTANCES: String(instances),
        CODEX_MAX_CONCURRENT: '20',
        CODEX_MAX_QUEUE_DEPTH: '100',
      },
    });
    for (let i = 0; i < instances; i++) await p.sidecar.became(`app-server-${i}`, 'ready');
    const before = await p.sidecar.status();
    const long = stream(p.port, `!say ${LONG_S * 10} 100 long`);
    await long.text('long0');
    const { stop, figures } = load(p.port);
    await until(() => figures.served >= CALLERS, 'the load to be on');
    const servedBefore = figures.served;
    const control = p.sidecar.control();
    t.after(() => control.close());
    const rolled = control.ask('restart', { app: 'app-server' }, LONG_S * 1000 + 60000);
    ok(await rolled);
    assert.ok(figures.served > servedBefore, 'it went on');
    assert.deepEqual(await stop(), []);
    assert.equal(await long.end(), 'whole');
    assert.match(assertWellFormed(long.chunks), new RegExp(`long${LONG_S * 10 - 1} $`));
    const after = await p.sidecar.status();
    for (let i = 0; i < instances; i++) {
      assert.notEqual(after.apps[i].pid, before.apps[i].pid);
      assert.equal(after.apps[i].state, 'ready');
      assert.equal(after.apps[i].restarts, 1);
    }
    assert.equal(after.apps.length, instances + 1);
    assert.equal(after.apps.at(-1).pid, before.apps.at(-1).pid, 'the proxy is left alone');
    t.diagnostic(`${figures.served} served, the slowest in ${figures.worst} ms`);
  });
}

test('reload proxy under load: nothing is refused, nothing is cut', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_MAX_CONCURRENT: '20', CODEX_MAX_QUEUE_DEPTH: '100' } });
  const before = await p.sidecar.status();
  const long = stream(p.port, '!say 20 100 long');
  await long.text('long0');
  const { stop, figures } = load(p.port);
  await until(() => figures.served >= CALLERS, 'the load to be on');
  ok(await p.sidecar.ask('reload', { app: 'proxy' }));
  const servedBefore = figures.served;
  await until(() => figures.served > servedBefore + CALLERS, 'more to be served');
  assert.deepEqual(await stop(), []);
  assert.equal(await long.end(), 'whole');
  assertWellFormed(long.chunks);
  const after = await p.sidecar.status();
  assert.notEqual(after.apps[1].pid, before.apps[1].pid);
  assert.equal(after.apps[0].pid, before.apps[0].pid, 'the app-server is left alone');
  assert.equal(after.ready, true);
  assert.equal((await chat(p.port, '!say 1 0 after')).status, 200);
});

test('the new one is ready before the old one is asked to drain, and has an id of its own', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = await s.app('app-server-0');
  const from = s.mark;
  ok(await s.ask('restart', { app: 'app-server-0' }));
  await s.line((l) => /STANDIN .*backend\/gone/.test(l.msg), 'backend/gone', from);
  const heard = s.proxySaid.map((said) => said.heard).filter((m) => m?.method?.startsWith('backend/'));
  assert.deepEqual(heard.slice(-4).map((m) => [m.method, m.params.id]), [
    ['backend/up', 64], ['backend/drain', 0], ['backend/down', 0], ['backend/gone', 0],
  ]);
  const drain = heard.at(-3);
  assert.equal(drain.params.deadline_ms, 900000);
  const after = await s.app('app-server-0');
  assert.notEqual(after.pid, before.pid);
  assert.equal(after.restarts, 1);
  assert.equal(after.last_exit.code, 0);
  ok(await s.ask('restart', { app: 'app-server-0' }));
  const up = s.proxySaid.map((said) => said.heard).filter((m) => m?.method === 'backend/up').at(-1);
  assert.deepEqual([up.params.id, up.params.generation], [0, 3]);
  assert.equal(descendantsOf(s.pid).length, 2);
});

test('a new one that does not become ready: the old one stays, and the answer says why', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = await s.app('app-server-0');
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, exit: 1, says: 'Error: this is why' });
  const { error } = await s.ask('restart', { app: 'app-server-0' });
  assert.equal(error.code, -32000);
  assert.match(error.message, /app-server-0: not ready again: exited with code 1: Error: this is why/);
  const { apps, ready } = await s.status();
  assert.deepEqual([apps[0].pid, apps[0].state, apps.length, ready], [before.pid, 'ready', 2, true]);
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls });
  ok(await s.ask('restart', { app: 'app-server-0' }));
});

test('the old one dies while the new one starts: the new one takes its place', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = await s.app('app-server-0');
  const from = s.mark;
  const rolled = s.ask('restart', { app: 'app-server-0' });
  await s.became('app-server-0', 'starting', from);
  process.kill(before.pid, 'SIGKILL');
  ok(await rolled);
  const { apps } = await s.status();
  assert.deepEqual([apps.length, apps[0].state, apps[0].restarts], [2, 'ready', 1]);
  assert.notEqual(apps[0].pid, before.pid);
});

test('status shows both while one is replaced; what else is asked for waits its turn', async (t) => {
  const s = (await sidecar(t, { proxy: { neverDrains: true } })).start();
  await s.ready();
  const from = s.mark;
  const first = s.ask('restart', { app: 'app-server-0' });
  await s.line((l) => /STANDIN .*backend\/drain/.test(l.msg), 'the drain', from);
  const { apps, ready } = await s.status();
  assert.deepEqual(apps.map((a) => [a.name, a.state]), [
    ['app-server-0', 'ready'], ['app-server-0.old', 'stopping'], ['proxy', 'ready'],
  ]);
  assert.equal(ready, true);
  const second = s.ask('reload', { app: 'app-server-0' });
  process.kill(apps[1].pid, 'SIGKILL'); // it drains no more
  ok(await first);
  await s.line((l) => /STANDIN .*backend\/drain.*"id":64/.test(l.msg), 'the second drain', from);
  const now = await s.status();
  process.kill(now.apps.find((a) => a.name === 'app-server-0.old').pid, 'SIGKILL');
  ok(await second);
  assert.equal((await s.app('app-server-0')).restarts, 2);
});

test('reload proxy: the old one drains when the new one is ready, and not before', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = await s.app('proxy');
  const from = s.mark;
  ok(await s.ask('reload', { app: 'proxy' }));
  const lines = s.lines.slice(from);
  const ready = lines.findIndex((l) => l.app === 'proxy' && l.to === 'ready');
  const drain = lines.findIndex((l) => /STANDIN .*"drain"/.test(l.msg));
  assert.ok(ready >= 0 && ready < drain, `${ready} ${drain}`);
  const after = await s.app('proxy');
  assert.notEqual(after.pid, before.pid);
  assert.equal((await s.status()).proxy.in_flight, 2);
  assert.equal((await s.app('app-server-0')).restarts, 0);
});

test('stop and start by hand: what is stopped stays stopped, and start answers when it is ready', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } })).start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  ok(await s.ask('stop', { app: 'app-server-1' }));
  const stopped = await s.app('app-server-1');
  assert.deepEqual([stopped.state, stopped.pid, stopped.last_exit.code], ['stopped', null, 0]);
  assert.equal((await s.status()).ready, true);
  ok(await s.ask('start', { app: 'app-server-1' }));
  assert.equal((await s.app('app-server-1')).state, 'ready');
  ok(await s.ask('start', { app: 'app-server-1' })); // it is ready already
  ok(await s.ask('stop', { app: 'all' }));
  const { apps, state, ready } = await s.status();
  assert.deepEqual(apps.map((a) => a.state), ['stopped', 'stopped', 'stopped']);
  assert.deepEqual([state, ready], ['running', false]);
  ok(await s.ask('start', { app: 'all' }));
  assert.equal((await s.status()).ready, true);
});

test('start answers why it did not become ready', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  ok(await s.ask('stop', { app: 'app-server-0' }));
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, exit: 1, says: 'Error: this is why' });
  const { error } = await s.ask('start', { app: 'app-server-0' });
  assert.equal(error.code, -32000);
  assert.match(error.message, /app-server-0: not ready: .*this is why/);
});

test('drain: the app runs on without work; start gives it work again', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = await s.status();
  const from = s.mark;
  const { result } = await s.ask('drain', { app: 'app-server-0', deadline_ms: 5000 });
  assert.deepEqual(result, { in_flight: 0 });
  await s.line((l) => /STANDIN .*backend\/drain.*"deadline_ms":5000/.test(l.msg), 'backend/drain', from);
  assert.equal((await s.app('app-server-0')).pid, before.apps[0].pid);
  ok(await s.ask('start', { app: 'app-server-0' }));
  await s.line((l) => /STANDIN .*backend\/up.*"generation":1/.test(l.msg), 'backend/up', from);
  assert.deepEqual((await s.ask('drain', { app: 'proxy' })).result, { in_flight: 0 });
  ok(await s.ask('start', { app: 'proxy' }));
  assert.notEqual((await s.app('proxy')).pid, before.apps[1].pid);
});

test('describe tells how an app is run, and no secret', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const { apps } = (await s.ask('describe', { app: 'all' })).result;
  assert.deepEqual(apps.map((a) => a.name), ['app-server-0', 'proxy']);
  const [backend, proxy] = apps;
  assert.equal(backend.group, 'app-server');
  assert.equal(backend.generation, 1);
  assert.equal(backend.phase, 'none');
  assert.equal(backend.other, null);
  assert.deepEqual(backend.args.slice(0, 2), ['codex', 'app-server']);
  assert.match(backend.file, /codex$/);
  assert.equal(backend.policy.drain_timeout_ms, 900000);
  assert.equal(proxy.policy.kill_timeout_ms, 35000);
  assert.ok(!JSON.stringify(apps).includes('sk-test'));
  assert.equal((await s.ask('describe', { app: 'nobody' })).error.code, -32002);
});

test('SIGTERM while a new one starts, and while an old one drains: all of it goes', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, neverListens: true });
  const from = s.mark;
  const asked = s.ask('restart', { app: 'app-server-0' });
  await s.became('app-server-0', 'starting', from);
  const ended = s.stop();
  assert.equal((await asked).error.message, 'shutting down');
  assert.equal((await ended).code, 0);
  assert.deepEqual(descendantsOf(s.pid), []);

  const d = (await sidecar(t, { proxy: { neverDrains: true } })).start();
  await d.ready();
  const mark = d.mark;
  const other = d.ask('restart', { app: 'app-server-0' });
  await d.line((l) => /STANDIN .*backend\/drain/.test(l.msg), 'the drain', mark);
  d.process.kill('SIGTERM');
  assert.equal((await other).error.message, 'shutting down');
  const end = d.stop(); // the second one skips the drain
  assert.equal((await end).code, 0);
  assert.deepEqual(descendantsOf(d.pid), []);
});

test('mistakes are answered as documented', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  for (const method of ['start', 'stop', 'restart', 'reload', 'drain', 'describe']) {
    const codeOf = async (params) => (await s.ask(method, params)).error?.code;
    assert.equal(await codeOf(), method === 'reload' ? undefined : -32602); // of no app: of the configuration
    assert.equal(await codeOf({ app: 7 }), -32602);
    assert.equal(await codeOf({ app: 'all', force: true }), -32602);
    assert.equal(await codeOf({ app: 'nobody' }), -32002);
  }
  for (const deadline_ms of [0, -1, 'soon', 1e12])
    assert.equal((await s.ask('drain', { app: 'all', deadline_ms })).error.code, -32602);
  assert.equal((await s.ask('describe', { app: 'all', wait: true })).error.code, -32602);
  assert.equal((await s.ask('stop', { app: 'nobody', wait: false })).error.code, -32002);
  assert.deepEqual((await s.ask('restart', { app: 'app-server-0', wait: false })).result, {});
});
