// The proxy in front of a fake app-server, and HAProxy in front of what sends the same streams: the same
// load on both, in turn.
import { haproxyBin, load, withStand } from './stand.mjs';

const full = { rounds: 5, requests: 5000, burst: 4000, mixed: 1000, paced: 300, streams: 64 };
const quick = { rounds: 1, requests: 300, burst: 1000, mixed: 100, paced: 30, streams: 64 };

// A kind of load, and what becomes of what load-client tells of it. cpu: seconds of the server.
function loads(n) {
  const per100k = (deltas) => (cpu) => (cpu / (n.streams * deltas)) * 100000;
  const streams = (content) => ({ content, at_once: n.streams });
  return [
    { ...streams(`!burst ${n.burst} 64`), deltas: n.burst * n.streams, figures: (r, cpu) => ({ cpu_burst: per100k(n.burst)(cpu) }) },
    { ...streams(`!burst ${n.mixed} 1`), deltas: n.mixed * n.streams, figures: (r, cpu) => ({ cpu_mixed: per100k(n.mixed)(cpu) }) },
    { ...streams(`!say ${n.paced} 10 tok`), spread: 10, deltas: n.paced * n.streams, figures: (r, cpu) => ({ cpu_paced: per100k(n.paced)(cpu) }) },
    {
      content: '!say 3 0 tok', at_once: 16, requests: n.requests, deltas: 3 * n.requests,
      figures: (r, cpu) => ({
        cpu_requests: (cpu / n.requests) * 1000, requests_per_s: r.requests_per_s, request_p50: r.whole_ms.p50, request_p99: r.whole_ms.p99,
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
  return kind.figures(result, result.cpu_s[server.name]);
}

export const part = (options) => withStand(async (stand) => {
  const n = options.quick ? quick : full;
  const fake = await stand.fake();
  const proxy = await stand.proxy(fake);
  const source = haproxyBin && await stand.source();
  const relay = haproxyBin && await stand.relay(source);
  if (!relay) options.say('no haproxy: nothing to compare relaying with');
  const note = (kind, r) => options.say(`${kind.content}: ${r.seconds.toFixed(2)} s; CPU s ` +
    Object.entries(r.cpu_s).filter(([name]) => !/^\d/.test(name)).map(([name, s]) => `${name} ${s.toFixed(3)}`).join(', '));
  // what is touched for the first time is touched for nobody
  for (const kind of loads(quick)) for (const server of [proxy, relay]) if (server) await load(server, kind);
  for (let round = 0; round < n.rounds; round++)
    for (const kind of loads(n)) {
      options.take('value', await measure(proxy, [fake], kind, note));
      if (relay) options.take('floor', await measure(relay, [source], kind, note));
    }
});
