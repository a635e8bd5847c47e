// codex-supervisor run FILE: any programs as apps, by an ecosystem file. What PM2 is known to get
// wrong is tested here with the outcome that it should have (docs/pm2.md).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  buildDir, descendantsOf, freePort, needsCodex, plainApp, sidecar, until, withDeadline,
} from './supervisor_kit.mjs';
import { chat } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';

const shell = (name, script, more = {}) => ({ name, script: '/bin/sh', args: ['-c', script], ...more });
const sleeper = (name, more = {}) => shell(name, 'exec sleep 600', more);

async function running(t, apps, { wait = true, env } = {}) {
  const s = (await sidecar(t, { apps, env })).start();
  if (wait) await s.ready();
  return s;
}

const indexOf = (s, app, to, from = 0) => s.lines.findIndex((l, i) => i >= from && l.app === app && l.to === to);
const starts = (s, app) => s.lines.filter((l) => l.app === app && l.to === 'starting').length;
const ok = ({ result, error }) => assert.ok(result, JSON.stringify(error));

async function exitTime(s) {
  const from = Date.now();
  assert.deepEqual(await s.stop(), { code: 0, signal: null });
  return Date.now() - from;
}

test('apps start when what they come after is ready, and stop in the reverse order, a tier at a time', async (t) => {
  const s = await running(t, [
    sleeper('top', { after: ['left', 'right'] }),
    plainApp('left', { sends: 'ready' }, { wait_ready: true, after: 'base' }),
    plainApp('right', { sends: 'ready' }, { wait_ready: true, after: 'base' }),
    plainApp('base', { sends: 'ready' }, { wait_ready: true }),
  ]);
  assert.match((await s.app('left')).reason, /started|waits for base/);
  for (const [app, after] of [['left', 'base'], ['right', 'base'], ['top', 'left'], ['top', 'right']])
    assert.ok(indexOf(s, app, 'starting') > indexOf(s, after, 'ready'), `${app} after ${after}`);
  const from = s.mark;
  await exitTime(s);
  const stopping = (app) => indexOf(s, app, 'stopping', from);
  const stopped = (app) => indexOf(s, app, 'stopped', from);
  assert.ok(stopping('left') > stopped('top') && stopping('right') > stopped('top'));
  assert.ok(stopping('base') > Math.max(stopped('left'), stopped('right')));
  assert.ok(Math.max(stopping('left'), stopping('right')) < Math.min(stopped('left'), stopped('right')));
});

test('what the file says of a program is what it gets: args, cwd, env, interpreter, instances', async (t) => {
  const s = await sidecar(t, { env: { PASSED_ON: 'yes', CODEX_PROXY_API_KEY: 'sk-secret', UPSTREAM_KEY: 'no' } });
  fs.mkdirSync(path.join(s.root, 'below'));
  s.setApps([
    plainApp('two', { tells: true }, {
      instances: 2, instance_var: 'NUMBER', cwd: 'below', env: { A: 'b', N: 7, max_restarts: 3 },
      env_pass: ['PASSED_ON'], port: 8080,
    }),
    { name: 'words', script: 'echo one  two' },
  ]);
  s.start();
  const told = [];
  for (const [i, name] of ['two-0', 'two-1'].entries()) {
    const line = await s.line((l) => l.app === name && /^TELLS/.test(l.msg), name);
    told[i] = JSON.parse(line.msg.slice(6));
    assert.equal(told[i].cwd, path.join(fs.realpathSync(s.root), 'below'));
    assert.equal(told[i].env.NUMBER, String(i));
    const { A, N, PORT, PASSED_ON, max_restarts } = told[i].env;
    assert.deepEqual([A, N, PORT, PASSED_ON, max_restarts], ['b', '7', '8080', 'yes', '3']);
    for (const none of ['CODEX_PROXY_API_KEY', 'UPSTREAM_KEY', 'NOTIFY_SOCKET', 'LISTEN_FDS', 'NODE_APP_INSTANCE'])
      assert.equal(told[i].env[none], undefined, none);
  }
  await s.line((l) => l.app === 'words' && l.msg === 'one two', 'the words');
  // a variable is never a setting: PM2 would stop after 3
  assert.equal((await s.ask('describe', { app: 'two-0' })).result.apps[0].policy.max_restarts, 10);
  ok(await s.ask('restart', { app: 'two' }));
  assert.deepEqual((await s.status()).apps.slice(0, 2).map((a) => [a.name, a.restarts]), [['two-0', 1], ['two-1', 1]]);
});

test('each way to be ready: HTTP, TCP, a unix socket, Node\'s channel, the control socket, any of them', async (t) => {
  const [http, tcp] = [await freePort(), await freePort()];
  const s = await sidecar(t);
  const socket = path.join(s.root, 'a.sock');
  s.setApps([
    plainApp('http', { http }, { readiness: `http://127.0.0.1:${http}/healthz` }),
    plainApp('tcp', { listen: tcp }, { readiness: `tcp://localhost:${tcp}` }),
    plainApp('unix', { listen: socket }, { readiness: `unix://${socket}` }),
    plainApp('ipc', { sends: 'ready' }, { readiness: 'ipc' }),
    plainApp('control', { control: true }, { readiness: 'control' }),
    plainApp('any', { control: true }, { wait_ready: true }),
  ]);
  s.start();
  for (const app of ['http', 'tcp', 'unix', 'ipc', 'control', 'any']) await s.became(app, 'ready');
  await s.ready();
  const stranger = s.control();
  t.after(() => stranger.close());
  stranger.socket.write('{"jsonrpc":"2.0","method":"app/ready"}\n');
  await s.line((l) => /app\/ready from pid \d+, which is no app of ours/.test(l.msg), 'the refusal');
  await exitTime(s);
  assert.deepEqual(fs.readdirSync(s.runtime).filter((name) => /^notify/.test(name)), []);
});

test('READY=1 on a NOTIFY_SOCKET of its own makes an app ready', async (t) => {
  const s = await sidecar(t);
  const socket = path.join(s.root, 'fake.sock');
  s.setApps([
    { name: 'server', script: path.join(buildDir, 'fake-app-server'), args: ['--listen', `unix://${socket}`],
      readiness: `unix://${socket}` },
    { name: 'front', script: path.join(buildDir, 'codex-proxy'), role: 'none', readiness: 'notify', after: 'server',
      env: { CODEX_APP_SERVER_URL: `unix://${socket}`, CODEX_PROXY_NO_AUTH: '1', CODEX_PROXY_PORT: String(await freePort()) } },
  ]);
  s.start();
  await s.became('front', 'ready');
  await exitTime(s);
});

test('not ready in time is a failure, and one that never becomes ready fails in the end', async (t) => {
  const s = await running(t, [
    sleeper('never', { wait_ready: true, listen_timeout: 150, max_restarts: 2, restart_delay: 10 }),
    sleeper('dies', { wait_ready: true, args: ['-c', 'sleep 0.1; exit 4'], autorestart: false }),
  ], { wait: false });
  await s.became('never', 'failed');
  assert.equal(starts(s, 'never'), 2);
  const never = await s.app('never');
  assert.deepEqual([never.state, never.reason], ['failed', 'not ready in time']);
  await s.became('dies', 'stopped');
  assert.equal((await s.app('dies')).last_exit.code, 4);
  for (const app of ['never', 'dies']) assert.equal(indexOf(s, app, 'ready'), -1, `${app} was never ready`);
  assert.equal((await s.status()).ready, false);
  await s.stop();
  assert.deepEqual(s.lines.filter((l) => l.msg === 'ready'), [], 'not at the end either');
});

for (const [what, restart_delay] of [['without a delay', 0], ['with a delay', 120]]) {
  test(`a crash loop ends ${what}, at once after the start or later`, async (t) => {
    const s = await running(t, [
      shell('at-once', 'exit 1', { restart_delay, max_restarts: 4 }),
      shell('later', 'sleep 0.2; exit 1', { restart_delay, max_restarts: 4, min_uptime: 100 }),
    ], { wait: false });
    for (const app of ['at-once', 'later']) {
      await s.became(app, 'failed');
      const { state, reason, pid } = await s.app(app);
      assert.deepEqual([state, reason, pid], ['failed', 'exited with code 1', null]);
      assert.equal(starts(s, app), 4);
    }
    // by hand it is tried again at once
    ok(await s.ask('start', { app: 'at-once' }));
    await until(() => starts(s, 'at-once') > 4, 'another try');
  });
}

test('zero values are values: max_restarts, kill_timeout', async (t) => {
  const s = await running(t, [
    shell('once', 'sleep 0.1; exit 1', { max_restarts: 0 }),
    plainApp('stubborn', { ignoresTerm: true, sends: 'ready' }, { kill_timeout: 0, wait_ready: true }),
  ], { wait: false });
  await s.became('once', 'failed');
  assert.equal(starts(s, 'once'), 1);
  await s.became('stubborn', 'ready');
  assert.ok((await exitTime(s)) < 1000);
});

test('stop_exit_codes and autorestart: false leave it stopped; an end by a signal is no exit code 0', async (t) => {
  const s = await running(t, [
    shell('well', 'exit 0', { stop_exit_codes: [0] }),
    shell('crash', 'kill -SEGV $$', { stop_exit_codes: [0], restart_delay: 10, max_restarts: 3 }),
    shell('once', 'exit 3', { autorestart: false, restart_delay: 1000 }),
  ], { wait: false });
  await s.became('crash', 'failed');
  assert.equal((await s.app('crash')).last_exit.signal, 'SIGSEGV');
  assert.deepEqual([starts(s, 'well'), starts(s, 'once'), starts(s, 'crash')], [1, 1, 3]);
  const { apps } = await s.status();
  assert.deepEqual(apps.filter((a) => a.name !== 'crash').map((a) => [a.name, a.state, a.last_exit.code]),
    [['well', 'stopped', 0], ['once', 'stopped', 3]]);
});

test('autostart: false waits for start; stop_signal is what ends it', async (t) => {
  const s = await running(t, [
    sleeper('main'),
    shell('later', 'trap "exit 5" INT; echo trapped; sleep 600 & wait', { autostart: false, stop_signal: 'SIGINT' }),
  ]);
  assert.equal((await s.app('later')).state, 'stopped');
  ok(await s.ask('start', { app: 'later' }));
  await s.line((l) => l.app === 'later' && l.msg === 'trapped', 'the trap to be set');
  ok(await s.ask('stop', { app: 'later' }));
  assert.equal((await s.app('later')).last_exit.code, 5);
});

test('what a crashed app has started is gone, in a session of its own too', async (t) => {
  const s = await running(t, [plainApp('parent', { orphans: true, kills: 'SIGKILL', after: 400 }, { autorestart: false })]);
  await until(() => descendantsOf(s.pid).length === 3, 'the two children');
  await s.became('parent', 'stopped');
  assert.deepEqual(descendantsOf(s.pid), []);
});

test('four stubborn apps are stopped within one kill_timeout', async (t) => {
  const s = await running(t, [1, 2, 3, 4].map((i) =>
    plainApp(`stubborn-${i}`, { ignoresTerm: true, sends: 'ready' }, { kill_timeout: 1000, wait_ready: true })));
  const ms = await exitTime(s);
  assert.ok(ms >= 990 && ms < 2500, `${ms} ms`);
});

test('after a kill -9 of the supervisor nothing is there twice, not even what an app had started', async (t) => {
  const apps = [plainApp('parent', { orphans: true, sends: 'ready' }, { wait_ready: true })];
  const s = await running(t, apps);
  await until(() => descendantsOf(s.pid).length === 3, 'the two children');
  const before = s.pid;
  s.process.kill('SIGKILL');
  await s.exited;
  const from = s.mark;
  s.start();
  await s.line((l) => /left behind by the last supervisor, pid \d+: killed/.test(l.msg), 'the sweep', from);
  assert.deepEqual(descendantsOf(before), []);
  await s.became('parent', 'ready', from);
  await until(() => descendantsOf(s.pid).length === 3, 'one copy of each');
  await exitTime(s);
});

test('SIGHUP: what has not changed is not touched, the rest follows the file', async (t) => {
  const [same, other] = [sleeper('same'), sleeper('other')];
  const s = await running(t, [same, other, sleeper('gone'), { ...sleeper('many'), instances: 2 }]);
  const pids = async () => Object.fromEntries((await s.status()).apps.map((a) => [a.name, a.pid]));
  const before = await pids();
  const from = s.mark;
  s.setApps([{ ...other, kill_timeout: 3000 }, sleeper('new', { after: 'same' }), same, { ...sleeper('many'), instances: 3 }]);
  s.process.kill('SIGHUP');
  await s.line((l) => /^reloaded: 1 as before, 3 changed, 2 new, 1 gone$/.test(l.msg), 'the reload', from);
  await s.line((l) => /^gone: gone from the list/.test(l.msg), 'the end of the old one', from);
  await s.became('many-1', 'ready', from);
  await until(async () => (await s.status()).ready, 'ready again');
  const after = await pids();
  assert.deepEqual(Object.keys(after), ['other', 'new', 'same', 'many-0', 'many-1', 'many-2']);
  assert.equal(after.same, before.same);
  for (const app of ['other', 'many-0', 'many-1']) assert.notEqual(after[app], before[app]);
  assert.equal((await s.ask('describe', { app: 'other' })).result.apps[0].policy.kill_timeout_ms, 3000);
  assert.equal((await s.ask('logs', { app: 'gone' })).error.code, -32002);
});

test('a reload with mistakes in the file: all are told, nothing changes, status warns until it is mended', async (t) => {
  const apps = [sleeper('one'), sleeper('two')];
  const s = await running(t, apps);
  const { pid } = await s.app('one');
  const from = s.mark;
  s.setApps([{ ...apps[0], max_restart: 3 }, { ...apps[1], kill_timeout: -1, args: 'other' }]);
  const refused = await s.cli('reload');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /2 mistakes: apps\[0\]\.max_restart: no such key; is max_restarts meant\?/);
  for (const place of [/apps\[0\]\.max_restart/, /apps\[1\]\.kill_timeout/])
    await s.line((l) => l.level === 'error' && place.test(l.msg), 'the mistake', from);
  const status = await s.status();
  assert.match(status.warnings[0], /^not reloaded: .*2 mistakes/);
  assert.equal(status.apps[0].pid, pid);
  assert.deepEqual(s.lines.slice(from).filter((l) => l.to), []);
  s.setApps('{"apps": [');
  assert.equal((await s.cli('reload')).code, 1);
  s.setApps(apps);
  assert.deepEqual(await s.cli('reload'), { code: 0, stdout: '', stderr: '' });
  const mended = await s.status();
  assert.deepEqual([mended.warnings, mended.apps[0].pid], [[], pid]);
});

test('SIGHUP without a file: app-servers follow a new config.toml, the proxy is left alone', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const before = (await s.status()).apps.map((a) => a.pid);
  let from = s.mark;
  s.process.kill('SIGHUP');
  await s.line((l) => l.msg === 'reloaded', 'the reload', from);
  assert.deepEqual((await s.status()).apps.map((a) => a.pid), before);
  from = s.mark;
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, more: 'as after an upgrade' });
  ok(await s.ask('reload'));
  await s.became('app-server-0', 'ready', from);
  const after = (await s.status()).apps.filter((a) => !/\.old$/.test(a.name)).map((a) => a.pid);
  assert.notEqual(after[0], before[0]);
  assert.equal(after[1], before[1]);
});

test('another codex, or another config.toml, is found unasked, once in a while; a mistake there only warns', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_CHECK_INTERVAL_MS: '100', CODEX_CATALOG_INTERVAL_MS: '200' } })).start();
  await s.ready();
  const pids = async () => (await s.status()).apps.filter((a) => !/\.(old|new)$/.test(a.name)).map((a) => a.pid);
  const before = await pids();
  const from = s.mark;
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, more: 'as after an upgrade' });
  await s.became('app-server-0', 'ready', from);
  await s.line((l) => /^app-server-0: stopping -> stopped/.test(l.msg), 'the end of the old one', from);
  const after = await pids();
  assert.notEqual(after[0], before[0]);
  assert.equal(after[1], before[1]);
  const then = s.mark;
  s.standIn('codex', 'codex.mjs', { calls: s.codexCalls, badConfig: 'Error: unknown configuration field `x`' });
  await s.line((l) => /^codex was looked at again, the app-servers stay as they are: /.test(l.msg), 'the warning', then);
  assert.equal((await s.status()).warnings.length, 1);
  assert.deepEqual(await pids(), after);
});

test('SIGHUP and the real codex: a new provider is taken up without a gap, a mistake in config.toml changes nothing', needsCodex, async (t) => {
  const pair = await Pair.start();
  t.after(() => pair.dispose());
  const s = pair.sidecar;
  const [before] = (await s.status()).apps;
  let from = s.mark;
  s.setConfig(`${pair.provider.toml}\nnot_a_key = 1\n`);
  s.process.kill('SIGHUP');
  await s.line((l) => /^not reloaded, everything stays as it is: .*not_a_key/.test(l.msg), 'the refusal', from);
  const { warnings, ready } = await s.status();
  assert.match(warnings.join(), /config\.toml:\d+:\d+: unknown configuration field/);
  assert.deepEqual([warnings.length, ready, (await s.app('app-server-0')).pid], [1, true, before.pid]);
  from = s.mark;
  s.setConfig(pair.provider.toml.replace('name = "demo"', 'name = "another"'));
  s.process.kill('SIGHUP');
  await s.became('app-server-0', 'ready', from);
  assert.equal((await chat(pair.port, 'after the reload')).status, 200);
  const after = await s.status();
  assert.notEqual(after.apps[0].pid, before.pid);
  assert.deepEqual(after.warnings, []);
  await pair.stop();
});

test('a file with mistakes, or none, is not run: each mistake is told, exit code 78', async (t) => {
  const s = await sidecar(t, { apps: [{ ...sleeper('a'), kil_timeout: 1 }, { name: 'b' }] });
  s.start();
  assert.deepEqual(await withDeadline(s.exited, 'the end'), { code: 78, signal: null });
  assert.ok(s.lines.some((l) => /apps\[0\]\.kil_timeout: no such key; is kill_timeout meant\?/.test(l.text)));
  assert.ok(s.lines.some((l) => /apps\[1\]\.script: is needed/.test(l.text)));
  assert.equal((await s.cli('run', '/nonexistent')).code, 78);
});

test('the shipped ecosystem file runs, and serves through the real codex', needsCodex, async (t) => {
  const { apps } = JSON.parse(fs.readFileSync(new URL('../../units/pm2/ecosystem.json', import.meta.url), 'utf8'));
  const url = `ws://127.0.0.1:${await freePort()}`;
  apps[0].args[2] = url;
  apps[1].env.CODEX_APP_SERVER_URL = url;
  const pair = await Pair.start({ apps });
  t.after(() => pair.dispose());
  assert.deepEqual((await pair.sidecar.status()).apps.map((a) => [a.name, a.state]),
    [['codex-app-server', 'ready'], ['codex-proxy', 'ready']]);
  assert.equal((await chat(pair.port, 'by the shipped file')).status, 200);
  const { result } = await pair.sidecar.ask('describe', { app: 'codex-proxy' });
  const { policy } = result.apps[0];
  assert.deepEqual(
    [policy.kill_timeout_ms, policy.listen_timeout_ms, policy.max_restarts, policy.restart_delay_ms],
    [35000, 60000, 10, 2000]);
  // the address is a fixed one: the next one cannot start beside the old one
  const before = await pair.sidecar.app('codex-app-server');
  ok(await pair.sidecar.ask('restart', { app: 'codex-app-server' }));
  assert.notEqual((await pair.sidecar.app('codex-app-server')).pid, before.pid);
  assert.equal((await chat(pair.port, 'after its restart')).status, 200);
  await pair.stop();
});
