// In small what `make chaos` and `make soak` do at length; and what each of their parts promises.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { makeSchedule } from '../chaos/schedule.mjs';
import { fit } from '../chaos/slope.mjs';
import { hookable } from '../chaos/hook.mjs';
import { Timeline } from '../chaos/timeline.mjs';
import { buildDir, endsWithUs, sidecar, until } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);

async function run(t, script, env, args = []) {
  const logs = fs.mkdtempSync(path.join(os.tmpdir(), 'chaos-logs-'));
  const child = endsWithUs(spawn(process.execPath, [path.join(here, '../chaos', script), ...args], {
    env: { ...process.env, SIDECAR_BUILD: buildDir, CHAOS_LOGS: logs, SOAK_LOGS: logs, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  }));
  let text = '';
  child.stdout.on('data', (data) => (text += data));
  child.stderr.on('data', (data) => (text += data));
  const [code] = await once(child, 'close');
  t.diagnostic(text);
  fs.rmSync(logs, { recursive: true, force: true });
  return { code, text };
}

test('the same seed is the same schedule, another one is another', () => {
  assert.deepEqual(makeSchedule('7', 60), makeSchedule('7', 60));
  assert.notDeepEqual(makeSchedule('7', 60), makeSchedule('8', 60));
  assert.deepEqual(makeSchedule('7', 60), makeSchedule('7', 120).filter((f) => f.at_ms < 60000));
});

test('a slope is found in noise, and none where there is none', () => {
  const noise = (i) => 20 * Math.sin(i * 12.9898) * Math.cos(i * 78.233);
  const points = (slope) => Array.from({ length: 300 }, (_, i) => [i / 300, 1000 + slope * (i / 300) + noise(i)]);
  const flat = fit(points(0));
  const steep = fit(points(100));
  assert.ok(flat.low < 0 && flat.high > 0, JSON.stringify(flat));
  assert.ok(steep.low > 50 && steep.high < 150, JSON.stringify(steep));
});

test('time in which nobody can be held to a deadline counts once, however many reasons it has', () => {
  const timeline = new Timeline(0);
  timeline.intervals.push({ from: 100, to: 300, what: 'a', allows: ['slow'] }, { from: 200, to: 400, what: 'b', allows: ['slow'] },
    { from: 0, to: 1000, what: 'c', allows: ['error'] });
  assert.equal(timeline.slowMs(0, 1000), 300);
  assert.equal(timeline.slowMs(250, 350), 100);
  assert.ok(timeline.allows('error', 500, 600) && !timeline.allows('cut', 0, 1000));
});

test('a control socket that was removed is there again within seconds', async (t) => {
  const s = await sidecar(t);
  s.start();
  await s.ready();
  fs.rmSync(path.join(s.runtime, 'control.sock'));
  await until(() => fs.existsSync(path.join(s.runtime, 'control.sock')), 'the socket', 15000);
  assert.equal((await s.status()).state, 'running');
  assert.equal((await s.cli('status')).code, 0);
  assert.deepEqual(await s.stop(), { code: 0, signal: null });
});

test('20 s of faults at random, under load', { timeout: 200000 }, async (t) => {
  const { code } = await run(t, 'chaos.mjs', { CHAOS_SEED: '11', CHAOS_SECONDS: '20', CHAOS_CODEX: 'fake' });
  assert.equal(code, 0);
});

test('allocations fail one by one: each request is answered all the same', { timeout: 200000, skip: !hookable }, async (t) => {
  const { code } = await run(t, 'alloc.mjs', { ALLOC_STEP: '17' }, ['proxy-requests']);
  assert.equal(code, 0);
});

// a sanitizer keeps what is freed
test('a soak in small: memory and files are flat', { timeout: 100000, skip: /san/.test(buildDir) }, async (t) => {
  const { code } = await run(t, 'soak.mjs', { SOAK_SECONDS: '15' });
  assert.equal(code, 0);
});
