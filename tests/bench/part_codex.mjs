// The pair with the real codex, whose model answers at once: beside clients that ask codex themselves, over
// the unix socket and over TCP; one app-server and two.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { endsWithUs, environOf, freePort, realCodex, Sidecar, until } from '../integration/supervisor_kit.mjs';
import { failover } from './part_failover.mjs';
import { KEY, bin, latency, load, sleep, withStand } from './stand.mjs';

const MODEL = 'gpt-5.5';
const MIN_UPTIME_MS = 5000; // of the built-in pair

const providerToml = (port) => `model_provider = "demo"
[model_providers.demo]
name = "demo"
base_url = "http://127.0.0.1:${port}/v1"
wire_api = "responses"
env_key = "UPSTREAM_KEY"
request_max_retries = 0
stream_max_retries = 0
`;

async function startPair(config, instances) {
  const sidecar = new Sidecar({
    proxy: null, codex: null, config,
    env: {
      CODEX_PROXY_PORT: String(await freePort()), CODEX_PROXY_API_KEY: KEY, CODEX_PROXY_RATE_LIMIT: '0', CODEX_LOG_LEVEL: 'info',
      CODEX_MAX_CONCURRENT: '64', CODEX_MAX_QUEUE_DEPTH: '64', CODEX_APP_SERVER_INSTANCES: String(instances),
    },
  });
  sidecar.start();
  try {
    await sidecar.ready();
  } catch (error) {
    await sidecar.dispose();
    throw error;
  }
  sidecar.name = `pair with ${instances}`;
  sidecar.url = `http://127.0.0.1:${sidecar.port}/v1/chat/completions`;
  return sidecar;
}

// A second app-server, the same but for its transport.
async function tcpAppServer(pid, root) {
  const url = `ws://127.0.0.1:${await freePort()}`;
  const [, ...args] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  args[args.indexOf('--listen') + 1] = url;
  const env = environOf(pid);
  const home = path.join(root, 'tcp-home');
  fs.cpSync(env.CODEX_HOME, home, { recursive: true, verbatimSymlinks: true });
  const server = endsWithUs(spawn(fs.readlinkSync(`/proc/${pid}/exe`), args, {
    env: { ...env, CODEX_HOME: home, CODEX_SIDECAR_RUN: '' }, cwd: fs.readlinkSync(`/proc/${pid}/cwd`), stdio: 'ignore',
  }));
  await until(() => fetch(url.replace('ws', 'http') + '/readyz').then((r) => r.ok, () => false), 'the app-server on TCP');
  server.port = url.split(':').at(-1);
  return server;
}

// What the proxy asks for with each thread.
const threadStart = (cwd) => ({
  model: MODEL, ephemeral: true, approvalPolicy: 'never', sandbox: 'read-only', cwd, baseInstructions: '', environments: [],
  experimentalRawEvents: true,
});

async function firstTokens(options, sidecar) {
  const { pid } = await sidecar.app('app-server-0');
  const socket = fs.readdirSync(sidecar.runtime).find((name) => /^app-server-0.*\.sock$/.test(name));
  const params = threadStart(fs.readlinkSync(`/proc/${pid}/cwd`));
  const tcp = await tcpAppServer(pid, sidecar.root);
  try {
    for (let round = 0; round < (options.quick ? 1 : 3); round++) {
      const rounds = options.quick ? 5 : 40;
      const { ways: [through, bare] } = await latency([`http:${sidecar.port}`, `unix:${path.join(sidecar.runtime, socket)}`],
        { rounds, threadStart: params });
      // By itself, one turn right after the other: after a pause the kernel acknowledges at once for a while.
      const { ways: [overTcp] } = await latency([`tcp:${tcp.port}`], { rounds: rounds / 2, warmUp: 2, threadStart: params });
      options.take('value', { codex_first: through.first_ms.p50, codex_added: through.first_ms.p50 - bare.first_ms.p50, codex_tcp: overTcp.first_ms.p50 });
      options.take('floor', { codex_first: bare.first_ms.p50 });
    }
  } finally {
    tcp.kill('SIGKILL');
  }
}

// Bytes of the model's request that are text, and not the caller's.
async function hiddenBytes(sidecar, record) {
  const content = '!say 1 0 what is hidden';
  await load(sidecar, { content });
  const { body } = fs.readFileSync(record, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
    .find((line) => JSON.stringify(line.body).includes(content));
  const size = (value) => (value?.length ? Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value)) : 0);
  const texts = body.input.flatMap((item) => item.content ?? [item]).map((c) => c.text ?? JSON.stringify(c));
  return size(body.instructions) + size(body.tools) + texts.reduce((sum, text) => sum + size(text), 0) - size(content);
}

async function turns(options, sidecar) {
  const { requests_per_s: perSecond } = await load(sidecar, { content: '!say 3 0 tok', at_once: 16, requests: options.quick ? 32 : 240, watch: [] });
  return perSecond;
}

export async function part(options) {
  if (!realCodex) {
    options.say('no codex: put it on PATH, name it in CODEX_BIN, or `make deps-test`');
    return;
  }
  await withStand(async (stand) => {
    const record = path.join(stand.root, 'record');
    const provider = stand.add('demo-provider', [bin('demo-provider'), '--record', record, '--die-with-parent']);
    const config = providerToml((await provider.said(/listening on (.*)/)).split(':').at(-1));
    const pairs = [];
    try {
      for (const instances of [1, 2]) pairs.push(await startPair(config, instances));
      options.take('value', { codex_hidden: await hiddenBytes(pairs[0], record) });
      await firstTokens(options, pairs[0]);
      for (const pair of pairs) await turns(options, pair); // not counted
      for (let round = 0; round < (options.quick ? 1 : 3); round++) {
        options.take('value', { codex_turns_1: await turns(options, pairs[0]) });
        options.take('value', { codex_turns_2: await turns(options, pairs[1]) });
      }
      for (let round = 0; round < (options.quick ? 1 : 3); round++) {
        options.take('value', { codex_failover: await failover(pairs[0], 'app-server-0') });
        options.take('value', { codex_failover_2: await failover(pairs[1], 'app-server-0') });
        if (!options.quick) await sleep(MIN_UPTIME_MS + 500);
      }
    } finally {
      for (const pair of pairs) await pair.dispose();
    }
  });
}
