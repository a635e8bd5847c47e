// From exec to the first 200 of /readyz: the app-server is there already.
import { freePort } from '../integration/supervisor_kit.mjs';
import { bin, startToReady, withStand } from './stand.mjs';

export const part = (options) => withStand(async (stand) => {
  const fake = await stand.fake();
  for (let round = 0; round < (options.quick ? 3 : 15); round++) {
    const port = await freePort();
    options.take('value', { ready: await startToReady(port, [bin('codex-proxy')], stand.proxyEnv(fake, port)) });
  }
});
