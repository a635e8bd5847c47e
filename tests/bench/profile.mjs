// Where the proxy's CPU time goes: perf, while part_relay's loads run. Needs perf (linux-perf), and the
// right to use it.
//
//   node tests/bench/profile.mjs [KIND]...     requests, burst, mixed, paced; all by default
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { endsWithUs } from '../integration/supervisor_kit.mjs';
import { full, loads } from './part_relay.mjs';
import { load, withStand } from './stand.mjs';

const LINES = 25;

function perfReport(data, ...options) {
  const text = execFileSync('perf', ['report', '-i', data, '--no-children', '--stdio', '-g', 'none', ...options],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return text.split('\n').filter((line) => /^\s+\d/.test(line)).map((line) => line.trimEnd());
}

// "[kernel.kallsyms] 61 %, codex-proxy 20 %"
const byPart = (data) => perfReport(data, '--sort', 'dso', '--percent-limit', '1').map((line) => {
  const [share, name] = line.trim().split(/\s+/);
  return `${name} ${Math.round(parseFloat(share))} %`;
}).join(', ');

const byFunction = (data) => perfReport(data, '--sort', 'dso,symbol', '--percent-limit', '0.5').slice(0, LINES).join('\n');

const wanted = process.argv.slice(2);
await withStand(async (stand) => {
  const proxy = await stand.proxy(await stand.fake());
  for (const kind of loads(full)) {
    if (wanted.length > 0 && !wanted.includes(kind.name)) continue;
    await load(proxy, kind); // what is touched for the first time is not what is looked for
    const data = path.join(stand.root, `perf-${kind.name}`);
    const perf = endsWithUs(spawn('perf', ['record', '-q', '-e', 'cpu-clock', '-F', '4999', '-o', data, '-p', String(proxy.pid)],
      { stdio: ['ignore', 'ignore', 'inherit'] }));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { cpu_s: cpu, deltas, requests } = await load(proxy, kind);
    const ended = once(perf, 'close');
    perf.kill('SIGINT');
    await ended;
    console.log(`\n${kind.name}: ${cpu['codex-proxy'].toFixed(3)} s of CPU for ${requests} requests, ${deltas} deltas\n${byPart(data)}\n${byFunction(data)}`);
  }
});
