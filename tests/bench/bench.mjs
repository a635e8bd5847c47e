// Speed and memory, beside what does less: a table, and bench.json, .md and .svg in build/bench.
//
//   node tests/bench/bench.mjs [--quick] [--doc] [--out FOLDER] [PART]...
//
// PART: relay, latency, memory, start, failover, codex; all by default. --quick: tiny counts, to see that it
// works. --doc: docs/performance.md and docs/performance.svg get the figures. SIDECAR_BUILD,
// SIDECAR_CODEX_BIN as in the tests.
import { parseArgs } from 'node:util';
import { measures } from './measures.mjs';
import { median } from './stand.mjs';
import { BUSY, busyShare, machine, report } from './report.mjs';

const parts = ['relay', 'latency', 'memory', 'start', 'failover', 'codex'];

const { values: flags, positionals } = parseArgs({
  options: { quick: { type: 'boolean' }, doc: { type: 'boolean' }, out: { type: 'string' } }, allowPositionals: true,
});
if (flags.doc && (flags.quick || positionals.length > 0)) {
  console.error('only all of it, and with whole counts, goes into the documentation');
  process.exit(64);
}
const wanted = positionals.length > 0 ? positionals : parts;
for (const name of wanted)
  if (!parts.includes(name)) {
    console.error(`no part ${name}: ${parts.join(', ')}`);
    process.exit(64);
  }

// {key: {value: [each round's], floor: [...]}}
const taken = {};
// {kind of load: {part of the program: percent of its CPU time}}
const profiles = {};
const options = {
  quick: flags.quick ?? false,
  say: (text) => process.stderr.write(`  ${text}\n`),
  profile: (kind, parts) => (profiles[kind] = parts),
  take: (side, figures) => {
    for (const [key, value] of Object.entries(figures)) ((taken[key] ??= {})[side] ??= []).push(value);
  },
};

const busy = await busyShare();
if (busy > BUSY) options.say(`others use ${Math.round(100 * busy)} % of this machine: times will be too long`);
const begin = Date.now();
for (const name of wanted) {
  process.stderr.write(`${name}\n`);
  const { part } = await import(`./part_${name}.mjs`);
  await part(options);
}

const figures = {};
for (const { key } of measures) {
  if (!taken[key]) continue;
  const { value, floor } = taken[key];
  figures[key] = { value: median(value), values: value, ...(floor && { floor: median(floor), floors: floor }) };
}
report({ machine: machine(), busy, quick: options.quick, seconds: Math.round((Date.now() - begin) / 1000), figures, profiles }, flags);
