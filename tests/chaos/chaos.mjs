// A seeded random schedule of faults against the whole pair under load, and an oracle.
//
//   node tests/chaos/chaos.mjs       CHAOS_SEED=1  CHAOS_SEEDS=1 (so many, from that one on)
//                                    CHAOS_SECONDS=120  CHAOS_CODEX=fake|real|mixed  CHAOS_AT_ONCE=1
//                                    CHAOS_ONLY=kill,pause (faults; else all)
//
// Exit code 1 when the oracle objects. The seed gives the same schedule and the same callers again;
// how they meet is up to the machine.
import fs from 'node:fs';
import path from 'node:path';
import { buildDir, realCodex } from '../integration/supervisor_kit.mjs';
import { runSeed } from './run.mjs';

const number = (name, fallback) => Number(process.env[name] || fallback);
const first = process.env.CHAOS_SEED || String(1 + Math.floor(Math.random() * 1e6));
const count = number('CHAOS_SEEDS', 1);
const seconds = number('CHAOS_SECONDS', 120);
const atOnce = number('CHAOS_AT_ONCE', 1);
const codex = process.env.CHAOS_CODEX || 'mixed';
const only = process.env.CHAOS_ONLY?.split(',');
const folder = path.resolve(process.env.CHAOS_LOGS || path.join(buildDir, 'chaos'));

const seeds = Array.from({ length: count }, (_, i) => (count === 1 ? first : String(Number(first) + i)));
const isReal = (seed) => Boolean(realCodex) && (codex === 'real' || (codex === 'mixed' && Number(seed) % 4 === 0));

const results = [];
const left = [...seeds];
console.log(`chaos: seeds ${seeds[0]}..${seeds.at(-1)}, ${seconds} s each, logs in ${folder}`);
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (let seed; (seed = left.shift()); ) {
    const logs = path.join(folder, `seed-${seed}`);
    fs.rmSync(logs, { recursive: true, force: true });
    const result = await runSeed({ seed, seconds, only, real: isReal(seed), folder: logs });
    results.push(result);
    for (const { what, detail } of result.objections.slice(0, 10)) console.log(`seed ${seed}: OBJECTION: ${what}\n${detail}`);
    if (result.objections.length > 0) console.log(`again: make chaos CHAOS_SEED=${seed} CHAOS_SECONDS=${seconds}; logs: ${logs}`);
  }
}));

const columns = { seed: 8, codex: 6, faults: 7, skipped: 8, requests: 9, right: 7, errors: 7, left: 6, excused: 8, objected: 9, slowest_ms: 11 };
console.log(Object.entries(columns).map(([name, width]) => name.padStart(width)).join(''));
for (const result of results) console.log(Object.entries(columns).map(([name, width]) => String(result[name]).padStart(width)).join(''));
console.log(JSON.stringify(results.map(({ objections, ...figures }) => figures)));
process.exit(results.some((result) => result.objected > 0) ? 1 : 0);
