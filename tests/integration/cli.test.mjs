// The commands of codex-supervisor: what each asks for, what it prints, and how it exits. The other
// end is one of our own: what a real one makes of it is tested elsewhere.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Program } from './program.mjs';
import { sidecar, supervisorBin, withDeadline } from './supervisor_kit.mjs';

// answers: by method, a result, or a function of the params that gives the rest of the answer.
async function standIn(t, answers) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cli-'));
  const socketPath = path.join(dir, 'control.sock');
  const asked = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    readline.createInterface({ input: socket }).on('line', (line) => {
      const { id, method, params } = JSON.parse(line);
      asked.push({ method, params });
      const answer = answers[method];
      const rest = typeof answer === 'function' ? answer(params, socket) : { result: answer };
      if (rest) socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...rest })}\n`);
    });
  });
  server.listen(socketPath);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const run = async (...args) => {
    const child = spawn(supervisorBin, ['--socket', socketPath, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    const [code] = await withDeadline(once(child, 'close'), args.join(' '));
    assert.doesNotMatch(stderr, /Sanitizer|Assertion|runtime error/);
    return { code, stdout, stderr };
  };
  return { run, asked, socketPath };
}

const status = (more) => ({
  version: '0.1.0', pid: 7, state: 'running', ready: true, uptime_ms: 90061000,
  apps: [
    { name: 'app-server-0', instance: 0, pid: 8, state: 'ready', reason: 'started', since_ms: 61000,
      restarts: 2, last_exit: null, next_retry_ms: null, rss_bytes: 90000000 },
    { name: 'proxy', instance: 0, pid: null, state: 'backoff', reason: 'exited with code 1',
      since_ms: 10, restarts: 3, last_exit: { code: 1, signal: null, reason: 'x' },
      next_retry_ms: 1500, rss_bytes: null },
  ],
  proxy: { in_flight: 3, queued: 1, threads: 3 }, auth: { state: 'unknown', expires_at: null },
  warnings: ['look here'], ...more,
});

test('start, stop, restart and reload ask, wait, and exit with what came of it', async (t) => {
  const refuse = { error: { code: -32000, message: 'exited with code 3' } };
  const ok = Object.fromEntries(['start', 'stop', 'restart', 'reload'].map((m) => [m, {}]));
  const good = await standIn(t, ok);
  const bad = await standIn(t, Object.fromEntries(Object.keys(ok).map((m) => [m, () => refuse])));
  for (const method of Object.keys(ok)) {
    assert.deepEqual(await good.run(method, 'proxy'), { code: 0, stdout: '', stderr: '' });
    assert.deepEqual(good.asked.pop(), { method, params: { app: 'proxy', wait: true } });
    assert.equal((await good.run(method, 'all', '--no-wait')).code, 0);
    assert.deepEqual(good.asked.pop(), { method, params: { app: 'all', wait: false } });
    const failed = await bad.run(method, 'proxy');
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /exited with code 3/);
  }
});

test('drain says what is left', async (t) => {
  const s = await standIn(t, { drain: (p) => ({ result: p.wait ? { in_flight: p.deadline_ms ?? 0 } : {} }) });
  assert.deepEqual(await s.run('drain', 'app-server'), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(s.asked.pop().params, { app: 'app-server', wait: true });
  const left = await s.run('drain', 'proxy', '--deadline', '1.5s');
  assert.equal(left.code, 1);
  assert.match(left.stderr, /1500 requests are still running/);
  assert.equal((await s.run('drain', 'proxy', '--no-wait', '--deadline', '30s')).code, 0);
  assert.deepEqual(s.asked.pop().params, { app: 'proxy', wait: false, deadline_ms: 30000 });
});

test('describe prints every member, for people and for scripts', async (t) => {
  const apps = [
    { name: 'proxy', pid: null, policy: { max_restarts: 10, stop: { signal: 'SIGTERM' } }, args: ['a', 'b'], esc: 'x\u001b[31m' },
    { name: 'other', ready: true },
  ];
  const s = await standIn(t, { describe: { apps } });
  const people = await s.run('describe', 'all');
  assert.equal(people.code, 0);
  assert.deepEqual(people.stdout.split('\n').map((l) => l.replace(/ {2,}/g, '  ')), [
    'proxy', '  name  proxy', '  pid  -', '  policy.max_restarts  10', '  policy.stop.signal  SIGTERM',
    '  args  a b', '  esc  x [31m', '', 'other', '  name  other', '  ready  true', '',
  ]);
  const scripts = await s.run('describe', 'all', '--json');
  assert.deepEqual(JSON.parse(scripts.stdout), { apps });
});

test('status for people, for scripts, and as an exit code', async (t) => {
  let ready = true;
  const s = await standIn(t, { status: () => ({ result: status({ ready }) }) });
  const people = await s.run('status');
  assert.equal(people.code, 0);
  assert.match(people.stdout, /pid 7, running, ready, up 1d 1h/);
  assert.match(people.stdout, /app-server-0 +8 +ready +1m 1s +2 +90\.0 MB +started\n/);
  assert.match(people.stdout, /proxy +- +backoff +0s +3 +- +exited with code 1; again in 1\.5 s\n/);
  assert.match(people.stdout, /requests: 3 running, 1 queued/);
  assert.match(people.stdout, /warning: look here/);
  assert.deepEqual(JSON.parse((await s.run('status', '--json')).stdout), status());
  assert.equal((await s.run('status', '--exit-code')).code, 0);
  ready = false;
  assert.equal((await s.run('status')).code, 0);
  assert.equal((await s.run('status', '--exit-code')).code, 1);
});

test('status --watch asks again and again, and ends with the supervisor', async (t) => {
  let times = 0;
  const s = await standIn(t, {
    status: (params, socket) => {
      if (++times < 3) return { result: status({ uptime_ms: times * 1000 }) };
      socket.destroy();
      return undefined;
    },
  });
  const watch = await s.run('status', '--watch', '--json');
  assert.equal(watch.code, 2);
  assert.deepEqual(watch.stdout.trimEnd().split('\n').map((l) => JSON.parse(l).uptime_ms), [1000, 2000]);
});

test('logs and events print what comes until the other end ends it', async (t) => {
  const line = (text) => ({ app: 'a', ts: '2026-01-01T00:00:00.000Z', stream: 'stdout', level: 'info', text });
  const s = await standIn(t, {
    logs: (params, socket) => {
      if (params.follow) setImmediate(() => {
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'log/line', params: line('new\u0007 ä') })}\n`);
        socket.end();
      });
      return { result: { lines: [line('one'), line('two')] } };
    },
    subscribe: (params, socket) => {
      setImmediate(() => socket.end(`${JSON.stringify({ jsonrpc: '2.0', method: 'event/state', params: {
        app: 'a', ts: 'T', from: 'ready', to: 'stopping', reason: 'r', pid: null, generation: 1,
      } })}\n`));
      return { result: {} };
    },
  });
  const head = '2026-01-01T00:00:00.000Z a: ';
  assert.deepEqual(await s.run('logs', 'a'), { code: 0, stdout: `${head}one\n${head}two\n`, stderr: '' });
  assert.deepEqual(s.asked.pop().params, { app: 'a', lines: 20, follow: false });
  const follow = await s.run('logs', 'a', '-f', '-n5');
  assert.deepEqual(s.asked.pop().params, { app: 'a', lines: 5, follow: true });
  assert.equal(follow.code, 2);
  assert.equal(follow.stdout, `${head}one\n${head}two\n${head}new  ä\n`);
  const events = await s.run('events');
  assert.equal(events.code, 2);
  assert.equal(events.stdout, 'T a: ready -> stopping (r)\n');
});

test('without a supervisor every command says where it looked, and exits with 2', () => {
  const env = { PATH: process.env.PATH, CODEX_RUNTIME_DIR: '/nonexistent/run' };
  for (const args of [['status'], ['status', '--watch'], ['describe', 'a'], ['start', 'a'], ['stop', 'a'],
    ['restart', 'a'], ['reload', 'a'], ['drain', 'a'], ['logs', 'a'], ['logs', 'a', '-f'], ['events'], ['shutdown']]) {
    const { status: code, stderr } = spawnSync(supervisorBin, ['--socket', '/nonexistent/sock', ...args],
      { env, encoding: 'utf8' });
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, /Tried:\n {2}\/nonexistent\/sock: No such file/, args.join(' '));
  }
  const { stderr } = spawnSync(supervisorBin, ['events'], { env, encoding: 'utf8' });
  assert.match(stderr, /\/nonexistent\/run\/control\.sock: No such file/);
});

test('where a supervisor is named, another one is not asked in its place', async (t) => {
  const other = await standIn(t, { status: status(), shutdown: {} });
  const folder = path.dirname(other.socketPath);
  const there = path.join(folder, 'codex-sidecar');
  fs.mkdirSync(there);
  fs.symlinkSync(other.socketPath, path.join(there, 'control.sock'));
  const usual = { PATH: process.env.PATH, XDG_RUNTIME_DIR: folder };
  const ask = async (env, ...args) => {
    const child = new Program(supervisorBin, args, { env: { ...usual, ...env } });
    t.after(() => child.kill());
    return (await withDeadline(child.exited, args.join(' '))).code;
  };
  assert.equal(await ask({}, 'status'), 0, 'the usual place');
  other.asked.length = 0;
  for (const named of [{ CODEX_CONTROL_SOCKET: '/nonexistent/sock' }, { CODEX_RUNTIME_DIR: '/nonexistent' }])
    assert.equal(await ask(named, 'shutdown'), 2);
  assert.equal(await ask({}, '--socket', '/nonexistent/sock', 'shutdown'), 2);
  assert.deepEqual(other.asked, []);
});

test('what makes no sense is a usage error', () => {
  for (const args of [[], ['nonsense'], ['start'], ['start', 'a', 'b'], ['status', 'x'], ['status', '-f'],
    ['logs', 'a', '-n', '-1'], ['logs', 'a', '-n', 'x'], ['logs', 'a', '--exit-code'], ['drain', 'a', '--deadline', '0'],
    ['drain', 'a', '--deadline', 'soon'], ['check'], ['--nonsense'], ['logs', 'a', '-n']]) {
    const { status: code, stdout, stderr } = spawnSync(supervisorBin, args, { encoding: 'utf8' });
    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, /usage: codex-supervisor/, args.join(' '));
    assert.equal(stdout, '');
  }
  for (const args of [['help'], ['--help'], ['version'], ['--version']])
    assert.equal(spawnSync(supervisorBin, args).status, 0);
});

test('status --watch shows a real one come and go', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const watch = new Program(s.bin, ['status', '--watch'], { env: s.env });
  t.after(() => watch.kill());
  await watch.out.first((l) => /^proxy +\d+ +ready/.test(l.text), 'the first look');
  const from = watch.out.mark;
  await watch.out.first((l) => /^codex-supervisor .* ready, up/.test(l.text), 'the second look', from);
  await s.stop();
  assert.equal((await withDeadline(watch.exited, 'the end of it')).code, 2);
});

test('a real pair is stopped, started, reloaded, drained and described', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } })).start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const run = async (code, ...args) => {
    const end = await s.cli(...args);
    assert.equal(end.code, code, `${args.join(' ')}: ${end.stderr}`);
    return end;
  };
  await run(0, 'stop', 'app-server-1');
  assert.equal((await s.app('app-server-1')).state, 'stopped');
  await run(0, 'start', 'app-server-1');
  const before = await s.app('app-server-1');
  assert.equal(before.state, 'ready');
  await run(0, 'reload', 'app-server');
  const after = await s.app('app-server-1');
  assert.equal(after.state, 'ready');
  assert.notEqual(after.pid, before.pid);
  await run(0, 'drain', 'app-server-0', '--deadline', '5s');
  const { stdout } = await run(0, 'describe', 'app-server-1');
  assert.match(stdout, /^app-server-1\n/);
  assert.match(stdout, new RegExp(`^  pid +${after.pid}$`, 'm'));
  assert.match(stdout, /^  policy\.max_restarts +10$/m);
  for (const command of ['start', 'stop', 'restart', 'reload', 'drain', 'describe', 'logs'])
    assert.match((await run(1, command, 'nobody')).stderr, /no such app/, command);
});
