// An app that writes without end, and a log that is read fast, slowly, or not at all: the app is not
// killed and goes on, the supervisor answers, and its memory stays as it is.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { endsWithUs, sidecar, until, withDeadline } from './supervisor_kit.mjs';

const sanitized = process.env.SIDECAR_BUILD?.includes('san');

// Where its log goes is ours to read: stderr is what spawn takes.
async function flooded(t, line, stderr) {
  const s = await sidecar(t, { env: { CODEX_LOG_LEVEL: 'info' } });
  const file = path.join(s.root, 'bin', 'codex-proxy');
  fs.writeFileSync(file, `#!/bin/sh\nexec yes '${line}'\n`);
  fs.chmodSync(file, 0o755);
  s.process = endsWithUs(spawn(s.bin, ['run'], { env: s.env, stdio: ['ignore', 'ignore', stderr] }));
  s.pid = s.process.pid;
  s.exited = once(s.process, 'exit').then(([code, signal]) => ({ code, signal }));
  await until(() => fs.existsSync(path.join(s.runtime, 'control.sock')), 'the control socket');
  s.flood = await until(() => s.app('proxy').then((app) => app.pid, () => null), 'the app');
  return s;
}

const number = (file, name) =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(fs.readFileSync(file, 'utf8'))[1]);
const written = (s) => number(`/proc/${s.flood}/io`, 'wchar');
const residentKb = (s) => number(`/proc/${s.pid}/status`, 'VmRSS');

// Asks 30 times; three of four answers come in time, whatever else the machine has to do.
async function assertAnswers(s) {
  const took = [];
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    await s.status();
    took.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  took.sort((a, b) => a - b);
  assert.ok(took[22] < 200, `status took ${took.map((ms) => ms.toFixed(0))} ms`);
}

async function assertGoesOn(s, bytes) {
  const from = written(s);
  await until(() => written(s) > from + bytes, 'the app to write on');
}

async function assertUnharmed(s, kbBefore) {
  const app = await s.app('proxy');
  assert.equal(app.pid, s.flood);
  assert.equal(app.restarts, 0);
  if (!sanitized) assert.ok(residentKb(s) < kbBefore + 2048, `${kbBefore} -> ${residentKb(s)} kB`);
  assert.deepEqual(await s.stop(), { code: 0, signal: null });
}

for (const [what, line] of [['lines', 'a line of the flood '.repeat(5)], ['very short lines', 'x']])
  test(`a flood of ${what} is taken: the supervisor answers, and its memory stays as it is`, async (t) => {
    const s = await flooded(t, line, 'ignore');
    await assertGoesOn(s, 128 << 10);
    const kb = residentKb(s);
    await assertAnswers(s);
    await assertGoesOn(s, 128 << 10);
    await assertUnharmed(s, kb);
  });

test('a slow reader of the log slows the app down, loses nothing, and holds up nobody else', async (t) => {
  const s = await flooded(t, '0123456789'.repeat(20), 'pipe');
  const log = s.process.stderr;
  let text = '';
  let bytes = 0;
  log.on('data', (data) => {
    if ((bytes += data.length) < 2 << 20) text += data;
    log.pause();
  });
  const tick = setInterval(() => log.resume(), 50); // 64 KB each: 1.3 MB/s
  t.after(() => clearInterval(tick));
  await until(() => bytes > 256 << 10, 'the flood');
  const kb = residentKb(s);
  await assertAnswers(s);
  await assertGoesOn(s, 256 << 10);
  assert.equal(/\d+ log lines were lost/.exec(text), null);
  clearInterval(tick);
  log.removeAllListeners('data').on('data', () => {}).resume();
  await assertUnharmed(s, kb);
});

test('a log that nobody reads stops neither the app nor the supervisor, and the loss is told', async (t) => {
  const s = await flooded(t, '0123456789'.repeat(20), 'pipe');
  const kb = residentKb(s);
  await assertGoesOn(s, 4 << 20); // more than any pipe holds, and than `logs` keeps
  await assertAnswers(s);
  const kept = (await s.ask('logs', { app: 'proxy', lines: 5 })).result.lines;
  assert.equal(kept.length, 5);
  let rest = '';
  const told = new Promise((resolve) => {
    s.process.stderr.on('data', (data) => {
      rest = (rest + data).slice(-65536);
      if (/\d+ log lines were lost/.test(rest)) resolve();
    });
  });
  await withDeadline(told, 'the loss to be told');
  s.process.stderr.removeAllListeners('data').on('data', () => {}).resume();
  await assertUnharmed(s, kb + 512); // a ring of lines that was not full at first
});
