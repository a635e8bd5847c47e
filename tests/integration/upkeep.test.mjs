// What the supervisor does about apps that run and answer, and yet are not as they should be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { chat, stream } from './http_kit.mjs';
import { pair } from './pair_kit.mjs';
import { needsCodex, sidecar, until } from './supervisor_kit.mjs';

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

// A time zone in which it is noon in so many seconds.
function noonIn(seconds) {
  const now = new Date();
  const ahead = now.getUTCHours() * 3600 + now.getUTCMinutes() * 60 + now.getUTCSeconds() + seconds - 12 * 3600;
  const [h, m, s] = [3600, 60, 1].map((unit, i, all) => Math.floor(Math.abs(ahead) % (all[i - 1] ?? Infinity) / unit));
  return `TST${ahead < 0 ? '-' : ''}${h}:${m}:${s}`; // what is added to its time is UTC
}

test('cron_restart restarts what is ready, once, and starts nothing', async (t) => {
  const app = (name, script, more) => ({ name, script: '/bin/sh', args: ['-c', script], cron_restart: '0 12 * * *', ...more });
  const s = await sidecar(t, {
    apps: [
      app('daily', 'exec sleep 600'),
      app('nightly', 'exec sleep 600', { cron_restart: '0 0 * * *' }),
      app('by-hand', 'exec sleep 600', { autostart: false }),
      app('broken', 'exit 1', { restart_delay: '10m', backoff_max: '10m', max_restarts: 50 }),
    ],
    env: { CODEX_CHECK_INTERVAL_MS: '200', TZ: noonIn(8) },
  });
  s.start();
  await s.line((l) => l.app === 'broken' && /again in/.test(l.msg), 'broken to be in backoff');
  const planned = (await s.ask('describe', { app: 'daily' })).result.apps[0].cron_restart_ms;
  assert.ok(planned > 0 && planned <= 8000, `it comes in ${planned} ms`);
  const { pid } = await s.app('daily');
  await s.line((l) => l.app === 'daily' && l.from === 'ready' && l.reason === 'cron_restart', 'its time');
  await until(async () => (await s.app('daily')).state === 'ready', 'daily to be ready again');
  await looks(3);
  const { apps } = await s.status();
  const of = (name) => apps.find((a) => a.name === name);
  assert.notEqual(of('daily').pid, pid);
  assert.deepEqual(apps.map((a) => [a.name, a.state, a.restarts]), [
    ['daily', 'ready', 1], ['nightly', 'ready', 0], ['by-hand', 'stopped', 0], ['broken', 'backoff', 0],
  ]);
  assert.ok(!s.lines.some((l) => l.app === 'daily' && l.to === 'backoff'), 'that was no failure');
  const next = (await s.ask('describe', { app: 'daily' })).result.apps[0].cron_restart_ms;
  assert.ok(next > 86000000 && next <= 86400000, `and then in ${next} ms`);
});

test('max_memory_restart of any program: stopped in good order, started again, as no failure', async (t) => {
  const s = await sidecar(t, {
    apps: [{
      name: 'eater', script: '/bin/sh', max_memory_restart: '100K',
      args: ['-c', 'trap "echo saved; exit 0" TERM; while :; do sleep 0.1; done'],
    }],
    env: { CODEX_CHECK_INTERVAL_MS: String(LOOK_MS) },
  });
  s.start();
  await s.line((l) => l.app === 'eater' && /^it uses .* its limit is 0\.1 MB$/.test(l.reason), 'the end of it');
  await s.line((l) => l.app === 'eater' && l.msg === 'saved', 'its last word');
  await until(async () => (await s.app('eater')).state === 'ready', 'it to be ready again');
  await looks(3);
  const eater = await s.app('eater');
  assert.deepEqual([eater.state, eater.restarts, eater.last_exit.code], ['ready', 1, 0]);
  assert.ok(!s.lines.some((l) => l.to === 'backoff'), 'that was no failure');
});
