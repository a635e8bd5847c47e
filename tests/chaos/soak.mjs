// The whole pair at moderate load for an hour: memory, files and threads of each process must be flat.
//
//   node tests/chaos/soak.mjs       SOAK_SECONDS=3600  SOAK_RATE=20 (requests/s)  SOAK_CODEX=fake|real
//                                   SOAK_LEAK=N: the proxy loses 1 KB at each N allocations, to see it fail
//
// Load comes in spells; between two of them, when nothing has been under way for a moment, it is counted
// what each process holds. Files and threads must then be as many as ever. Through the memory goes a line,
// whose slope must be within the bound.
import fs from 'node:fs';
import path from 'node:path';
import { buildDir, realCodex, until } from '../integration/supervisor_kit.mjs';
import { Load, calmLoad } from './load.mjs';
import { DEADLINE_MS, Oracle } from './oracle.mjs';
import { filesOf, heapOf, memoryOf, threadsOf } from './proc.mjs';
import { assertAtRest, assertWellEnded, baseOf, isAtRest } from './rest.mjs';
import { fit } from './slope.mjs';
import { Timeline } from './timeline.mjs';
import { World } from './world.mjs';

const number = (name, fallback) => Number(process.env[name] || fallback);
const seconds = number('SOAK_SECONDS', 3600);
const rate = number('SOAK_RATE', 20);
const leak = number('SOAK_LEAK', 0);
const real = process.env.SOAK_CODEX === 'real' && Boolean(realCodex);
const seed = process.env.SOAK_SEED || '1';
const folder = path.resolve(process.env.SOAK_LOGS || path.join(buildDir, 'soak'));

const CALLERS = 16;
const KILL_MS = DEADLINE_MS + 20000;
// So much of the time memory may still be on its way to what the load needs.
const WARM_UP = 0.2;
const WARM_REQUESTS = 400;
// A second after its last request the proxy gives back what it has no use for.
const REST_MS = 1500;
// Connections to the fake come and go by one while an instance is asked for its threads.
const FILES = 1;
const FILES_H = 1;
// At 20 requests/s less than 2 bytes of each request. What is left of a short run is a spell or two that
// were fuller than all before, more so on a machine that has other work: a megabyte in all.
const BOUND_KB_H = 100;
const SPELL_KB = 1024;
const LONG_S = 1800;
const bound = BOUND_KB_H + (seconds < LONG_S ? SPELL_KB / (seconds * (1 - WARM_UP) / 3600) : 0);

const spell_ms = Math.max(700, Math.min(10000, seconds * 1000 / 100));
const who = ['proxy', 'supervisor', 'app-server'];

async function spell(world, oracle, n, until_ms) {
  // each caller's share of the rate, by how long it thinks
  const think = 2 * 1000 * CALLERS / rate - 400;
  const load = new Load(world, `${seed} ${n}`, { callers: CALLERS, think_ms: [0, Math.max(0, think)], judge: (...x) => oracle.judge(...x), kill_ms: KILL_MS });
  await new Promise((resolve) => setTimeout(resolve, until_ms));
  await load.stop();
}

const sampleOf = (pid) => ({ ...memoryOf(pid), heap: heapOf(pid), files: filesOf(pid), threads: threadsOf(pid) });

function judge(samples, oracle) {
  const counted = samples.filter((s) => s.at_s > seconds * WARM_UP);
  const rows = [];
  for (const name of who) {
    const series = (figure) => counted.map((s) => [s.at_s / 3600, s[name][figure]]);
    const { slope, low, high } = fit(series('dirty'));
    const most = (figure) => Math.max(...counted.map((s) => s[name][figure]));
    const least = (figure) => Math.min(...counted.map((s) => s[name][figure]));
    rows.push({ name, first_kb: counted[0][name].dirty, last_kb: counted.at(-1)[name].dirty, heap_kb: counted.at(-1)[name].heap, slope_kb_h: Math.round(slope), low: Math.round(low), high: Math.round(high), files: `${least('files')}..${most('files')}`, threads: `${least('threads')}..${most('threads')}` });
    if (low > bound || (slope > bound && low > 0)) oracle.object(`the ${name} grows by ${Math.round(slope)} KB/h (95 %: ${Math.round(low)}..${Math.round(high)}), more than ${Math.round(bound)}`);
    for (const figure of ['files', 'threads']) {
      const { slope: more, low: surely } = fit(series(figure));
      if (counted.at(-1)[name][figure] > counted[0][name][figure] + FILES && surely > FILES_H)
        oracle.object(`the ${name} has more and more ${figure}: ${counted[0][name][figure]}, then ${counted.at(-1)[name][figure]} (${more.toFixed(1)}/h)`);
    }
  }
  return rows;
}

fs.rmSync(folder, { recursive: true, force: true });
const world = new World({ folder, real });
const oracle = new Oracle(new Timeline());
const samples = [];
let rows = [];
try {
  await world.start();
  const pids = Object.fromEntries(who.map((name) => [name, world.pidsOf(name)[0]]));
  await calmLoad(world, `${seed} warm`, WARM_REQUESTS, (...x) => oracle.judge(...x), { atOnce: CALLERS, kill_ms: KILL_MS });
  const base = await baseOf(world);
  if (leak) world.hooks.proxy.set({ leak_each: leak });
  const begin = Date.now();
  console.log(`soak: ${seconds} s at ${rate} requests/s, a sample each ${spell_ms} ms, bound ${Math.round(bound)} KB/h, logs in ${folder}`);
  for (let n = 0; Date.now() - begin < seconds * 1000; n++) {
    await spell(world, oracle, n, spell_ms);
    await until(() => isAtRest(world), 'nothing to be under way');
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    const sample = { at_s: (Date.now() - begin) / 1000, requests: oracle.counts.requests, ...Object.fromEntries(who.map((name) => [name, sampleOf(pids[name])])) };
    samples.push(sample);
    fs.appendFileSync(path.join(folder, 'samples'), `${JSON.stringify(sample)}\n`);
    for (const name of who) if (world.pidsOf(name)[0] !== pids[name]) throw new Error(`the ${name} was started again`);
  }
  rows = judge(samples, oracle);
  await assertAtRest(world, base, oracle, `${seed} after`, KILL_MS);
} catch (error) {
  oracle.object('the run ended', error.stack);
} finally {
  if (world.supervisor) await assertWellEnded(world, oracle);
  await world.dispose().catch((error) => oracle.object('something stays behind', error.stack));
}
for (const { what, detail } of oracle.objections.slice(0, 10)) console.log(`OBJECTION: ${what}\n${detail}`);
if (rows.length > 0) console.table(rows);
console.log(JSON.stringify({ seconds, rate: Math.round(oracle.counts.requests / seconds * 10) / 10, ...oracle.counts, errors: oracle.errors, samples: samples.length, bound_kb_h: Math.round(bound), rows }));
process.exit(oracle.objections.length > 0 ? 1 : 0);
