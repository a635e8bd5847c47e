// Killed with -9, under the supervisor: the ms until a request that is sent at once is answered.
import http from 'node:http';
import path from 'node:path';
import { freePort, Sidecar, until } from '../integration/supervisor_kit.mjs';
import { bin, KEY, sleep } from './stand.mjs';

const STABLE_MS = 300; // longer than min_uptime below

const body = JSON.stringify({ model: 'gpt-5.5', messages: [{ role: 'user', content: '!say 1 0 well' }] });

// Resolves to the status, 0 when the connection broke.
function request(port, key) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': body.length };
    const one = http.request({ host: '127.0.0.1', port, method: 'POST', path: '/v1/chat/completions', headers, agent: false });
    one.on('response', (response) => response.on('end', () => resolve(response.statusCode)).on('error', () => resolve(0)).resume());
    one.on('error', () => resolve(0));
    one.end(body);
  });
}

// Kills an app of the sidecar.
export async function failover(sidecar, name, key = KEY) {
  const { pid } = await sidecar.app(name);
  const begin = performance.now();
  process.kill(pid, 'SIGKILL');
  await until(async () => (await request(sidecar.port, key)) === 200, 'an answer');
  const took = performance.now() - begin;
  const state = async () => {
    const app = await sidecar.app(name);
    return app.state === 'ready' && app.pid !== pid;
  };
  await until(state, `${name} to be ready again`);
  return took;
}

export async function part(options) {
  const sidecar = new Sidecar({ proxy: null, env: { CODEX_PROXY_PORT: String(await freePort()), CODEX_PROXY_API_KEY: KEY, CODEX_LOG_LEVEL: 'info',
    CODEX_PROXY_RATE_LIMIT: '0' } });
  const app = (more) => ({ interpreter: 'none', min_uptime: STABLE_MS - 100, max_restarts: 100, ...more });
  sidecar.setApps([
    app({ name: 'app-server', script: bin('fake-app-server'), role: 'codex-app-server', recipe: false,
      args: ['--listen', `unix://${path.join(sidecar.root, 'fake.sock')}`] }),
    app({ name: 'proxy', script: bin('codex-proxy') }),
  ]);
  try {
    sidecar.start();
    await sidecar.ready();
    for (let round = 0; round < (options.quick ? 1 : 10); round++) {
      await sleep(STABLE_MS);
      options.take('value', { failover_app_server: await failover(sidecar, 'app-server') });
      await sleep(STABLE_MS);
      options.take('value', { failover_proxy: await failover(sidecar, 'proxy') });
    }
  } finally {
    await sidecar.dispose();
  }
}
