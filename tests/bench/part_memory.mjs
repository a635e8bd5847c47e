// Resident memory: of nothing, of many slow streams, of many connections, of a reader that stops.
import { once } from 'node:events';
import net from 'node:net';
import { onPath, until } from '../integration/supervisor_kit.mjs';
import { execFileSync } from 'node:child_process';
import { haproxyBin, load, peakFrom, peakKb, privateKb, rssKb, sleep, withStand } from './stand.mjs';

const MB = 1024; // of kB
const SPARE_FILES = 1000;
const AFTER_MS = 2000;
const ANSWER_MS = 2000; // one that takes longer is made to wait

async function streams(server, n) {
  const idle = rssKb(server.pid);
  const own = privateKb(server.pid);
  let most = 0;
  await load(server, {
    content: `!say ${n.deltas} 300 word`, at_once: n.streams, spread: n.spread,
    begun: async (client) => {
      while (client.exitCode === null) {
        most = Math.max(most, rssKb(server.pid));
        await sleep(50);
      }
    },
  });
  await sleep(AFTER_MS);
  return { rss_idle: idle / MB, private_idle: own / MB, rss_streams: most / MB, rss_after: rssKb(server.pid) / MB, rss_per_stream: (most - idle) / n.streams };
}

// What a long stream adds at most: to one who reads it to its end, or who takes the first deltas only,
// until the proxy has had enough of it.
async function growth(proxy, n, stall) {
  await load(proxy, { content: '!burst 1000 64' });
  const before = rssKb(proxy.pid);
  peakFrom(proxy.pid);
  const begun = async (client) => {
    await until(() => /"outcome":"(?!stop)/.test(proxy.log), 'the proxy to give up on it');
    client.kill('SIGKILL');
  };
  await load(proxy, { content: `!burst ${n.long} 64`, stall, begun: stall ? begun : undefined });
  return { rss_stalled: (peakKb(proxy.pid) - before) / MB };
}

// held: answered, and open.
async function idleConnection(port) {
  const socket = net.connect(port, '127.0.0.1').setTimeout(ANSWER_MS);
  const one = { socket, held: false };
  socket.on('error', () => {}).on('close', () => (one.held = false)).on('end', () => (one.held = false));
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => {
    for (const event of ['close', 'timeout']) socket.once(event, resolve);
    socket.once('data', (data) => resolve((one.held = String(data).startsWith('HTTP/1.1 200'))));
  });
  socket.setTimeout(0);
  return one;
}

async function connections(proxy, many) {
  const all = [];
  while (all.length < many && all.every((one) => one.held))
    all.push(...await Promise.all(Array.from({ length: Math.min(250, many - all.length) }, () => idleConnection(proxy.port))));
  await sleep(200);
  const held = all.filter((one) => one.held).length;
  const rss = rssKb(proxy.pid) / MB;
  for (const { socket } of all) socket.destroy();
  await load(proxy, { content: '!say 1 0 well' }); // it is as well as before
  return { idle_connections: held, rss_connections: rss };
}

// The proxy keeps a second file for each connection: it fetches, and talks to app-servers.
function withFiles(many) {
  const wanted = String(2 * (many + SPARE_FILES));
  try {
    execFileSync('prlimit', [`--nofile=${wanted}:${wanted}`, 'true'], { stdio: 'ignore' });
    return [onPath('prlimit'), `--nofile=${wanted}:${wanted}`];
  } catch {
    return []; // no right to it, or no need
  }
}

export const part = async (options) => {
  const n = options.quick ? { streams: 100, spread: 100, deltas: 3, connections: 200, long: 20000 }
    : { streams: 1000, spread: 1000, deltas: 20, connections: 10000, long: 200000 };
  for (let round = 0; round < (options.quick ? 1 : 2); round++)
    await withStand(async (stand) => {
      const fake = await stand.fake();
      const proxy = await stand.proxy(fake);
      options.take('value', await streams(proxy, n));
      if (haproxyBin) {
        const relay = await stand.relay(await stand.source());
        options.take('floor', await streams(relay, n));
      }
      options.take('value', await growth(await stand.proxy(fake), n, true));
      options.take('floor', await growth(await stand.proxy(fake), n, false));
      const third = await stand.proxy(fake, { under: withFiles(n.connections) });
      options.take('value', await connections(third, n.connections));
    });
};
