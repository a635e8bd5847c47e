// Where the proxy's CPU time goes: perf, while part_relay's loads run.
//
//   node tests/bench/profile.mjs [KIND]...     requests, burst, mixed, paced; all by default
import path from 'node:path';
import { full, loads } from './part_relay.mjs';
import { hasPerf, profile } from './perf.mjs';
import { load, withStand } from './stand.mjs';

const LINES = 25;

if (!hasPerf) {
  console.error('no perf: the Debian package is linux-perf');
  process.exit(77);
}
const wanted = process.argv.slice(2);
await withStand(async (stand) => {
  const proxy = await stand.proxy(await stand.fake());
  for (const kind of loads(full)) {
    if (wanted.length > 0 && !wanted.includes(kind.name)) continue;
    await load(proxy, kind); // what is touched for the first time is not what is looked for
    let told;
    const found = await profile(proxy.pid, path.join(stand.root, kind.name), async () => (told = await load(proxy, kind)));
    if (!found) throw new Error('perf must not look at this process');
    console.log(`\n${kind.name}: ${told.cpu_s['codex-proxy'].toFixed(3)} s of CPU for ${told.requests} requests, ${told.deltas} deltas`);
    console.log(Object.entries(found.parts).map(([name, share]) => `${name} ${share} %`).join(', '));
    console.log(found.functions.slice(0, LINES).join('\n'));
  }
});
