// Time to first token: through the pair, by a bare WebSocket client that makes the same calls on the
// same unix socket, and by one over the TCP transport, without TCP_QUICKACK.
//
//   node tests/bench/ttft.mjs [ROUNDS]     (default 50; SIDECAR_BUILD, SIDECAR_CODEX_BIN as in the tests)
//
// Exit code 0: the pair is within 2 ms of the bare client, and at least twice as fast as TCP.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { AppServerClient } from '../integration/app_server_client.mjs';
import { API_KEY } from '../integration/http_kit.mjs';
import { Pair } from '../integration/pair_kit.mjs';
import { environOf, freePort, realCodex, until } from '../integration/supervisor_kit.mjs';

const ROUNDS = Number(process.argv[2] ?? 50);
const BATCH = 10;
// Turns over TCP that are not counted: after a pause the kernel acknowledges at once for a while.
const WARM_UP = 2;
const MODEL = 'gpt-5.5';
const MESSAGE = '!say 3 0 tok';

// What the proxy opts out of, so that the bare client has no more to read than it has.
const OPT_OUT = ['thread/started', 'thread/settings/updated', 'thread/status/changed', 'warning', 'configWarning',
  'remoteControl/status/changed', 'account/rateLimits/updated', 'item/completed'];

// One turn as the proxy makes it; resolves to the ms until the first delta, once all is cleaned up.
async function bareTurn(client, cwd) {
  const begin = performance.now();
  let first;
  let threadId;
  const completed = new Promise((resolve, reject) => {
    client.onNotification = ({ method, params }) => {
      if (method === 'item/agentMessage/delta') first ??= performance.now() - begin;
      if (method === 'turn/completed') params.turn.error ? reject(new Error(params.turn.error.message)) : resolve();
    };
    client.send('thread/start', {
      model: MODEL, ephemeral: true, approvalPolicy: 'never', sandbox: 'read-only', cwd, baseInstructions: '',
      environments: [], experimentalRawEvents: true,
    }, ({ result, error }) => {
      if (error) return reject(new Error(error.message));
      threadId = result.thread.id;
      const items = [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: MESSAGE }] }];
      client.send('thread/inject_items', { threadId, items }, () => {});
      client.send('turn/start', { threadId, input: [], effort: 'medium' }, () => {});
    });
  });
  await completed;
  await client.call('thread/unsubscribe', { threadId });
  return first;
}

const body = JSON.stringify({ model: MODEL, stream: true, messages: [{ role: 'user', content: MESSAGE }] });
const request =
  `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${API_KEY}\r\n` +
  `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

// The same turn through the pair: the ms until the first chunk with content. By hand on a kept
// connection, as the bare client's are: what Node's HTTP client costs is not the pair's.
function pairTurn(socket) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    let first;
    let all = '';
    const take = (chunk) => {
      all += chunk;
      if (first === undefined && all.includes('"content":"tok')) first = performance.now() - begin;
      if (!all.endsWith('\r\n0\r\n\r\n')) return;
      socket.off('data', take);
      if (first !== undefined && all.includes('data: [DONE]\n\n')) resolve(first);
      else reject(new Error(all));
    };
    socket.on('data', take);
    socket.write(request);
  });
}

// A second app-server, the same but for its transport.
async function tcpAppServer(pid, root) {
  const url = `ws://127.0.0.1:${await freePort()}`;
  const [, ...args] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  args[args.indexOf('--listen') + 1] = url;
  const env = environOf(pid);
  const home = path.join(root, 'tcp-home');
  fs.cpSync(env.CODEX_HOME, home, { recursive: true, verbatimSymlinks: true });
  const server = spawn(fs.readlinkSync(`/proc/${pid}/exe`), args, {
    env: { ...env, CODEX_HOME: home, CODEX_SIDECAR_RUN: '' }, cwd: fs.readlinkSync(`/proc/${pid}/cwd`), stdio: 'ignore',
  });
  const ready = () => fetch(url.replace('ws', 'http') + '/readyz').then((r) => r.ok, () => false);
  await until(ready, 'the app-server on TCP');
  return { server, url };
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

function row(name, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const ms = (value) => value.toFixed(1).padStart(8);
  console.log(`${name.padEnd(44)}${ms(sorted[0])}${ms(at(sorted, 0.5))}${ms(at(sorted, 0.9))}`);
  return at(sorted, 0.5);
}

if (!realCodex) {
  console.error('no codex: put it on PATH, or name it in SIDECAR_CODEX_BIN');
  process.exit(77);
}
const pair = await Pair.start({ env: { CODEX_LOG_LEVEL: 'info' } });
const clients = [];
let tcp;
let socket;
let met = false;
try {
  const { pid } = await pair.sidecar.app('app-server-0');
  const cwd = fs.readlinkSync(`/proc/${pid}/cwd`);
  tcp = await tcpAppServer(pid, pair.sidecar.root);
  for (const url of [pair.socketUrl, tcp.url]) clients.push(await AppServerClient.connect(url, OPT_OUT));
  socket = net.connect(pair.port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  const ways = [() => pairTurn(socket), () => bareTurn(clients[0], cwd), () => bareTurn(clients[1], cwd)];
  const times = ways.map(() => []);
  // What else the machine does must fall on all of them: the pair and the bare client take turns.
  // TCP has batches of its own, one turn right after the other. The first batch is for nobody.
  for (let measured = -BATCH; measured < ROUNDS; measured += BATCH) {
    const counts = measured >= 0;
    for (let i = 0; i < BATCH; i++)
      for (const n of i % 2 ? [0, 1] : [1, 0]) {
        const ms = await ways[n]();
        if (counts) times[n].push(ms);
      }
    for (let i = 0; i < WARM_UP + BATCH; i++) {
      const ms = await ways[2]();
      if (counts && i >= WARM_UP) times[2].push(ms);
    }
  }
  console.log(`time to first token, ms, ${ROUNDS} rounds`.padEnd(44) + '     min  median     p90');
  const [through, bare, overTcp] = ['through the pair', 'bare client, unix socket', 'bare client, TCP, without TCP_QUICKACK'].map(
    (name, n) => row(name, times[n]),
  );
  const added = through - bare;
  const factor = overTcp / through;
  met = added <= 2 && factor >= 2;
  console.log(`the pair adds ${added.toFixed(1)} ms (at most 2), and is ${factor.toFixed(1)} times as fast as TCP (at least 2): ${met ? 'met' : 'NOT MET'}`);
} finally {
  for (const client of clients) client.close();
  tcp?.server.kill('SIGKILL');
  socket?.destroy();
  await pair.stop();
}
process.exitCode = met ? 0 : 1;
