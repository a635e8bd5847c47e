// What apps write and how they change, seen through `codex-supervisor logs` and `events`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { Program } from './program.mjs';
import { sidecar, until, withDeadline } from './supervisor_kit.mjs';

// A command that runs until it is ended; its output line by line.
function command(t, s, ...args) {
  const program = new Program(s.bin, args, { env: s.env });
  t.after(async () => {
    await program.kill();
    program.assertNoComplaint();
  });
  return program;
}

// Instead of codex-proxy: a script.
function proxyScript(s, text) {
  const file = path.join(s.root, 'bin', 'codex-proxy');
  fs.writeFileSync(file, `#!/bin/sh\n${text}\n`);
  fs.chmodSync(file, 0o755);
}

const lines = (stdout) => stdout.trimEnd().split('\n').filter(Boolean);

test('logs shows the last lines of an app, of a group, and of all', async (t) => {
  const s = await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } });
  proxyScript(s, 'for i in 1 2 3; do echo "out $i"; done; echo "err 4" >&2; exec sleep 600');
  s.start();
  await s.line((l) => l.msg === 'err 4' && l.app === 'proxy', 'the last line');
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const all = await s.cli('logs', 'proxy');
  assert.equal(all.code, 0, all.stderr);
  assert.deepEqual(
    lines(all.stdout).map((l) => l.replace(/^[0-9T:.-]+Z /, '')).sort(),
    ['proxy: err 4', 'proxy: out 1', 'proxy: out 2', 'proxy: out 3'],
  );
  const two = await s.cli('logs', 'proxy', '-n', '2', '--json');
  assert.equal(lines(two.stdout).length, 2);
  const line = JSON.parse(lines((await s.cli('logs', 'proxy', '--json')).stdout)
    .find((l) => l.includes('err 4')));
  assert.deepEqual(Object.keys(line), ['app', 'ts', 'stream', 'level', 'text']);
  assert.ok(Math.abs(Date.parse(line.ts) - Date.now()) < 60000);
  assert.equal(line.stream, 'stderr');
  assert.equal((await s.cli('logs', 'app-server')).code, 0);
  assert.match((await s.cli('logs', 'all')).stdout, /proxy: out 1/);
  const unknown = await s.cli('logs', 'nobody');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /no such app/);
});

test('lines are kept over a crash and a restart, and -f goes on through both', async (t) => {
  const s = await sidecar(t);
  proxyScript(s, 'echo "run of $CODEX_PROXY_GENERATION"; read line < "$HOME/gate"; printf "last words"; kill -9 $$');
  const gate = path.join(s.root, 'home', 'gate');
  const { status } = (await import('node:child_process')).spawnSync('mkfifo', [gate]);
  assert.equal(status, 0);
  s.start();
  await s.line((l) => l.msg === 'run of 1', 'the first run');
  const follow = command(t, s, 'logs', 'proxy', '-f', '-n', '1');
  await follow.out.first((l) => /run of 1$/.test(l.text), 'the line that was there');
  fs.writeFileSync(gate, 'go\n');
  await follow.out.first((l) => /: last words$/.test(l.text), 'the unfinished line of the one that died');
  await follow.out.first((l) => /: run of 2$/.test(l.text), 'the first line of the next one');
  const kept = lines((await s.cli('logs', 'proxy')).stdout).map((l) => l.split(': ')[1]);
  assert.deepEqual(kept.slice(0, 3), ['run of 1', 'last words', 'run of 2']);
  await s.stop();
  const { code } = await withDeadline(follow.exited, 'the end of logs -f');
  assert.equal(code, 2);
  assert.match(follow.logText, /ended the connection/);
});

test('events tells every change of state, to all who listen', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const people = command(t, s, 'events');
  const scripts = command(t, s, 'events', '--json');
  // Nothing tells when they are listening; so the proxy is killed until both have heard of it.
  while (people.out.mark === 0 || scripts.out.mark === 0) {
    const from = s.mark;
    process.kill((await s.app('proxy')).pid, 'SIGKILL');
    await s.became('proxy', 'ready', from);
  }
  const { pid } = await s.app('app-server-0');
  process.kill(pid, 'SIGKILL');
  const ready = await scripts.out.first((e) => e.app === 'app-server-0' && e.to === 'ready', 'ready again');
  const ours = scripts.out.all.filter((e) => e.app === 'app-server-0');
  const seen = ours.map((e) => `${e.from}>${e.to}`);
  assert.deepEqual(seen, [
    'ready>stopping', 'stopping>backoff', 'backoff>waiting', 'waiting>starting', 'starting>ready',
  ]);
  assert.equal(ready.generation, 2);
  assert.equal(ready.pid, (await s.app('app-server-0')).pid);
  assert.match(ours[0].reason, /killed by SIGKILL/);
  await people.out.first((l) => /app-server-0: starting -> ready, pid \d+ \(/.test(l.text), 'the same for people');
  await s.stop();
  for (const program of [people, scripts])
    assert.equal((await withDeadline(program.exited, 'the end')).code, 2);
});

test('a flood is bounded: who does not read is cut off, the app and the others go on', async (t) => {
  const s = await sidecar(t, { env: { CODEX_LOG_LEVEL: 'error' } });
  proxyScript(s, 'exec yes "a line of the flood"');
  s.start();
  await until(() => fs.existsSync(path.join(s.runtime, 'control.sock')), 'the control socket');
  await until(() => s.ask('logs', { app: 'proxy', lines: 1 }).then(
    (a) => a.result?.lines.length === 1, () => false), 'the flood');
  const socket = net.connect(path.join(s.runtime, 'control.sock'));
  await once(socket, 'connect');
  socket.pause();
  socket.write('{"jsonrpc":"2.0","id":1,"method":"logs","params":{"app":"proxy","follow":true}}\n');
  for (let i = 0; i < 50; i++) assert.ok((await s.ask('status')).result);
  let received = 0;
  socket.on('error', () => {}); // it was cut off in the middle
  socket.on('data', (data) => (received += data.length));
  const closed = once(socket, 'close');
  socket.resume();
  await withDeadline(closed, 'the end of the one that did not read');
  assert.ok(received < 6 << 20, `${received} bytes`);
  const kept = (await s.ask('logs', { app: 'proxy', lines: 100000 })).result.lines;
  assert.equal(kept.length, 1000);
  assert.ok(kept.every((l) => l.text === 'a line of the flood'));
  if (!process.env.SIDECAR_BUILD?.includes('san')) {
    const kb = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${s.pid}/status`, 'utf8'))[1]);
    assert.ok(kb < 40000, `${kb} kB resident`);
  }
  assert.deepEqual(await s.stop(), { code: 0, signal: null });
});
