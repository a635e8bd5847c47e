// What is measured: names, units, and what is to be reached.
//
// floor: what does the same with less to do, in the same run. budget: of docs/performance.md; predecessor:
// the TypeScript proxy before this one, and, where it was measured then, HAProxy (haproxy).
// least: more is better.
export const measures = [
  { key: 'cpu_requests', part: 'relay', name: 'CPU per 1,000 requests, 16 at once', unit: 's', floor: 'HAProxy', budget: 0.05, predecessor: 0.37 },
  { key: 'cpu_single', part: 'latency', name: 'CPU per 1,000 requests, one at a time', unit: 's', floor: 'bare client' },
  { key: 'cpu_burst', part: 'relay', name: 'CPU per 100,000 deltas, burst of 64 streams', unit: 's', floor: 'HAProxy', budget: 0.06, predecessor: 0.51 },
  { key: 'cpu_mixed', part: 'relay', name: 'CPU per 100,000 deltas, 64 streams, one each 1 ms', unit: 's', floor: 'HAProxy' },
  { key: 'cpu_paced', part: 'relay', name: 'CPU per 100,000 deltas, 64 streams, one each 10 ms', unit: 's', floor: 'HAProxy', budget: 2.1, predecessor: 3.9 },
  { key: 'requests_per_s', part: 'relay', name: 'requests/s, 16 at once', unit: '/s', floor: 'HAProxy', least: true },
  { key: 'request_p50', part: 'relay', name: 'whole request p50, 16 at once', unit: 'ms', floor: 'HAProxy' },
  { key: 'request_p99', part: 'relay', name: 'whole request p99, 16 at once', unit: 'ms', floor: 'HAProxy' },
  { key: 'first_p50', part: 'latency', name: 'time to first delta p50, one at a time', unit: 'ms', floor: 'bare client' },
  { key: 'first_p99', part: 'latency', name: 'time to first delta p99, one at a time', unit: 'ms', floor: 'bare client' },
  { key: 'added_p50', part: 'latency', name: 'added to the time to first delta, p50', unit: 'ms', budget: 0.15 },
  { key: 'added_p99', part: 'latency', name: 'added to the time to first delta, p99', unit: 'ms', budget: 0.5 },
  { key: 'rss_idle', part: 'memory', name: 'resident, idle', unit: 'MB', floor: 'HAProxy', budget: 6, predecessor: 64 },
  { key: 'private_idle', part: 'memory', name: 'of it not shared with other programs', unit: 'MB', floor: 'HAProxy' },
  { key: 'rss_streams', part: 'memory', name: 'resident, 1,000 slow streams', unit: 'MB', floor: 'HAProxy', budget: 20, predecessor: 116 },
  { key: 'rss_after', part: 'memory', name: 'resident, two seconds after them', unit: 'MB', floor: 'HAProxy' },
  { key: 'rss_per_stream', part: 'memory', name: 'resident per stream', unit: 'kB', floor: 'HAProxy' },
  { key: 'rss_stalled', part: 'memory', name: 'growth by a reader that stops', unit: 'MB', floor: 'one who reads', budget: 1, predecessor: 234 },
  { key: 'idle_connections', part: 'memory', name: 'idle connections held', unit: '', budget: 10000, least: true },
  { key: 'rss_connections', part: 'memory', name: 'resident with them', unit: 'MB' },
  { key: 'ready', part: 'start', name: 'start to ready', unit: 'ms', budget: 15, predecessor: 229 },
  { key: 'failover_app_server', part: 'failover', name: 'app-server killed, to the next answer', unit: 'ms' },
  { key: 'failover_proxy', part: 'failover', name: 'proxy killed, to the next answer', unit: 'ms' },
  { key: 'codex_first', part: 'codex', name: 'codex: time to first token, median', unit: 'ms', floor: 'bare client' },
  { key: 'codex_added', part: 'codex', name: 'codex: added to the time to first token, median', unit: 'ms', budget: 2 },
  { key: 'codex_tcp', part: 'codex', name: 'codex: that time by a bare client over TCP', unit: 'ms' },
  { key: 'codex_hidden', part: 'codex', name: 'codex: prompt that the caller did not write', unit: 'bytes', budget: 0 },
  { key: 'codex_turns_1', part: 'codex', name: 'codex: turns/s, 1 instance', unit: '/s', least: true },
  { key: 'codex_turns_2', part: 'codex', name: 'codex: turns/s, 2 instances', unit: '/s', least: true },
  { key: 'codex_failover', part: 'codex', name: 'codex: app-server killed, to the next answer', unit: 'ms' },
  { key: 'codex_failover_2', part: 'codex', name: 'codex: the same, 2 instances', unit: 'ms' },
];

// undefined: there is no budget.
export function isMet(measure, value) {
  if (measure.budget === undefined) return undefined;
  return measure.least ? value >= measure.budget : value <= measure.budget;
}
