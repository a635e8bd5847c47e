// One request at a time: through the proxy, and by a client that asks the app-server itself.
import { latency, withStand } from './stand.mjs';

export const part = (options) => withStand(async (stand) => {
  const fake = await stand.fake();
  const proxy = await stand.proxy(fake);
  const rounds = options.quick ? 100 : 1000;
  for (let round = 0; round < (options.quick ? 1 : 5); round++) {
    const { ways: [through, bare], cpu_s: cpu } = await latency([`http:${proxy.port}`, `unix:${fake.socket}`], { server: proxy, rounds });
    options.take('value', {
      cpu_single: (cpu / rounds) * 1000,
      first_p50: through.first_ms.p50, first_p99: through.first_ms.p99,
      added_p50: through.first_ms.p50 - bare.first_ms.p50, added_p99: through.first_ms.p99 - bare.first_ms.p99,
    });
    options.take('floor', {
      cpu_single: (bare.cpu_s / rounds) * 1000, first_p50: bare.first_ms.p50, first_p99: bare.first_ms.p99,
    });
  }
});
