// The proxy in front of a fake app-server, and HAProxy in front of what sends the same streams: the same
// load on both, in turn.
import path from 'node:path';
import { hasPerf, profile } from './perf.mjs';
import { haproxyBin, load, withStand } from './stand.mjs';

export const full = { rounds: 5, requests: 5000, burst: 4000, mixed: 1000, paced: 300, streams: 64 };
const quick = { rounds: 1, requests: 300, burst: 1000, mixed: 100, paced: 30, streams: 64 };

// Kinds of load; figures: of the server's seconds of CPU, and of what load-client tells.
export function loads(n) {
  const streams = (name, content, each, more) => ({
    name, content, at_once: n.streams, deltas: each * n.streams,
    figures: (cpu) => ({ [`cpu_${name}`]: (cpu / (each * n.streams)) * 100000 }), ...more,
  });
  return [
    streams('burst', `!burst ${n.burst} 64`, n.burst),
    streams('mixed', `!burst ${n.mixed} 1`, n.mixed),
    streams('paced', `!say ${n.paced} 10 tok`, n.paced, { spread: 10 }),
    {
      name: 'requests', content: '!say 3 0 tok', at_once: 16, requests: n.requests, deltas: 3 * n.requests,
      figures: (cpu, told) => ({
        cpu_requests: (cpu / n.requests) * 1000, requests_per_s: told.requests_per_s,
        request_p50: told.whole_ms.p50, request_p99: told.whole_ms.p99,
      }),
    },
  ];
}

// A server whose load is measured; others: who also worked for it.
async function measure(server, others, kind, note) {
  const result = await load(server, { ...kind, watch: [server, ...others] });
  // one chunk for each delta; the first one, which tells the role, is none
  if (result.deltas !== kind.deltas) throw new Error(`${server.name}: ${result.deltas} deltas of ${kind.deltas}`);
  note(kind, result);
  return kind.figures(result.cpu_s[server.name], result);
}

export const part = (options) => withStand(async (stand) => {
  const n = options.quick ? quick : full;
  const fake = await stand.fake();
  const proxy = await stand.proxy(fake);
  const source = haproxyBin && await stand.source();
  const relay = haproxyBin && await stand.relay(source);
  if (!relay) options.say('no haproxy: nothing to compare relaying with');
  const note = (kind, r) => options.say(`${kind.name}: ${r.seconds.toFixed(2)} s; CPU s ` +
    Object.entries(r.cpu_s).filter(([name]) => !/^\d/.test(name)).map(([name, s]) => `${name} ${s.toFixed(3)}`).join(', '));
  // what is touched for the first time is touched for nobody
  for (const kind of loads(quick)) for (const server of [proxy, relay]) if (server) await load(server, kind);
  for (let round = 0; round < n.rounds; round++)
    for (const kind of loads(n)) {
      options.take('value', await measure(proxy, [fake], kind, note));
      if (relay) options.take('floor', await measure(relay, [source], kind, note));
    }
  if (options.quick || !hasPerf) return;
  for (const kind of loads({ ...n, paced: 100 })) {
    const found = await profile(proxy.pid, path.join(stand.root, kind.name), () => load(proxy, kind));
    if (found) options.profile(kind.name, found.parts);
  }
});
