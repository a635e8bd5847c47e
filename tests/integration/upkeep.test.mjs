// What the supervisor does about apps that run and answer, and yet are not as they should be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { chat, stream } from './http_kit.mjs';
import { pair } from './pair_kit.mjs';
import { needsCodex, sidecar } from './supervisor_kit.mjs';

const LOOK_MS = 400;
const looks = (n) => new Promise((resolve) => setTimeout(resolve, n * LOOK_MS));
const heard = (s, method) => s.proxySaid.map((said) => said.heard).filter((m) => m?.method === method);

test('what has grown beyond its memory limit is replaced by drain, as no failure, and not again and again', async (t) => {
  const s = await sidecar(t, {
    env: { CODEX_CHECK_INTERVAL_MS: String(LOOK_MS), CODEX_APP_SERVER_MAX_MEMORY: '1000000', CODEX_PROXY_MAX_MEMORY: '1000000' },
  });
  s.start();
  await s.ready();
  for (const app of ['app-server-0', 'proxy']) {
    await s.line((l) => l.app === app && l.to === 'stopped', `the old ${app} to be stopped`);
    const now = await s.app(app);
    assert.deepEqual([now.state, now.restarts], ['ready', 1], JSON.stringify(now));
    assert.equal((await s.ask('describe', { app })).result.apps[0].policy.max_memory_bytes, 1000000);
    const why = s.lines.find((l) => l.app === app && l.from === 'stopped' && /memory/.test(l.reason));
    assert.match(why.reason, /it uses \d+\.\d MB of memory, its limit is 1\.0 MB/);
  }
  assert.ok(heard(s, 'backend/drain').length > 0, 'the app-server was drained first');
  assert.ok(!s.lines.some((l) => l.to === 'backoff'), 'that was no failure');
  await looks(5);
  for (const app of ['app-server-0', 'proxy']) assert.equal((await s.app(app)).restarts, 1, 'the next one is not due');
});

test('without a limit, or within it, nothing is replaced', async (t) => {
  const s = await sidecar(t, { env: { CODEX_CHECK_INTERVAL_MS: '100', CODEX_APP_SERVER_MAX_MEMORY: '0' } });
  s.start();
  await s.ready();
  await looks(3);
  for (const app of ['app-server-0', 'proxy']) assert.equal((await s.app(app)).restarts, 0);
});

test('a socket that is gone while its connection still answers: the app-server is drained and replaced', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_CHECK_INTERVAL_MS: String(LOOK_MS) } });
  const before = await p.sidecar.app('app-server-0');
  // longer than it takes to notice: it has to survive that
  const long = stream(p.port, '!say 40 100 long');
  await long.text('long0');
  const socket = p.socketUrl.slice('unix://'.length);
  const from = p.sidecar.mark;
  fs.renameSync(socket, `${socket}.away`);
  await p.sidecar.became('app-server-0', 'ready', from);
  assert.equal((await chat(p.port, '!say 1 1 next')).status, 200);
  assert.equal(await long.end(), 'whole');
  assert.equal(long.error, undefined);
  await p.sidecar.became('app-server-0', 'stopped', from);
  const after = await p.sidecar.app('app-server-0');
  assert.notEqual(after.pid, before.pid);
  assert.deepEqual([after.state, after.restarts], ['ready', 1]);
  const why = p.sidecar.lines.slice(from).find((l) => l.app === 'app-server-0' && l.from === 'stopped');
  assert.match(why.reason, /its socket takes no connection any more/);
  fs.rmSync(`${socket}.away`, { force: true });
});

test('an app-server that hangs: after three calls without an answer it is ended and started again', needsCodex, async (t) => {
  const p = await pair(t, { env: { CODEX_FIRST_EVENT_TIMEOUT_MS: '2000' } });
  const { pid } = await p.sidecar.app('app-server-0');
  const from = p.sidecar.mark;
  process.kill(pid, 'SIGSTOP');
  const answers = await Promise.all([1, 2, 3].map((n) => chat(p.port, `!say 1 1 hung${n}`)));
  for (const answer of answers) assert.equal(answer.status, 504);
  await p.sidecar.became('app-server-0', 'ready', from);
  const lines = p.sidecar.lines.slice(from).filter((l) => l.app === 'app-server-0');
  assert.match(lines.find((l) => l.to === 'stopping').reason, /does not answer the proxy/);
  assert.ok(!lines.some((l) => l.to === 'backoff'), 'that was no failure of its own');
  assert.notEqual((await p.sidecar.app('app-server-0')).pid, pid);
  assert.equal((await chat(p.port, '!say 1 1 well')).status, 200);
});
