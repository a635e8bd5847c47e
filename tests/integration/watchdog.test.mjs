// How soon what has died is there again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { needsCodex, sidecar, until } from './supervisor_kit.mjs';

const ROUNDS = Number(process.env.SIDECAR_KILL_ROUNDS ?? 3);
// 3 ms is what `make bench-supervisor` asks of a machine that does nothing else; a test must not fail
// because its machine is busy.
const BOUND_MS = 250;
const STABLE_MS = 5000; // min_uptime: after it a failure is the first one again

function childrenOf(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

// From the kill until the supervisor has another child, in ms; looks without a pause.
function respawn(supervisor, pid) {
  const before = new Set(childrenOf(supervisor));
  const begin = process.hrtime.bigint();
  const took = () => Number(process.hrtime.bigint() - begin) / 1e6;
  process.kill(pid, 'SIGKILL');
  while (took() < 10000) if (childrenOf(supervisor).some((child) => child && !before.has(child))) return took();
  throw new Error('no new process within 10 s');
}

async function killed(t, app) {
  const s = (await sidecar(t, { codex: null })).start();
  await s.ready();
  const figures = [];
  const ready = [];
  for (let i = 0; i < ROUNDS; i++) {
    const { pid } = await until(async () => {
      const a = await s.app(app);
      return a.state === 'ready' && a.since_ms > STABLE_MS && a;
    }, 'a stable spell');
    const from = s.mark;
    const begin = Date.now();
    figures.push(respawn(s.pid, pid));
    await s.became(app, 'ready', from);
    ready.push(Date.now() - begin);
  }
  const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
  t.diagnostic(`new process after ${median(figures).toFixed(1)} ms, ready after ${median(ready)} ms (medians of ${ROUNDS})`);
  assert.ok(median(figures) < BOUND_MS, String(figures));
  assert.equal((await s.app(app)).restarts, ROUNDS);
}

test('kill -9 after a stable spell: the next one is started at once', { ...needsCodex, concurrency: true }, (t) =>
  Promise.all(['app-server-0', 'proxy'].map((app) => t.test(app, (t) => killed(t, app)))));
