// What is measured, started for it: the proxy by itself, a fake app-server, HAProxy and what it relays;
// and the clients that put load on them.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { onLines } from '../integration/program.mjs';
import { buildDir, endsWithUs, freePort, onPath, until, withDeadline } from '../integration/supervisor_kit.mjs';

export const KEY = 'sk-bench';
export const haproxyBin = onPath('haproxy') ?? ['/usr/sbin/haproxy'].find((file) => fs.existsSync(file));
export const bin = (name) => path.join(buildDir, name);
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const run = promisify(execFile);

// A server that writes to a file, so that nobody here is busy with what it says.
class Server {
  constructor(root, name, command, env = {}) {
    this.name = name;
    this.logFile = path.join(root, `${name}.log`);
    const log = fs.openSync(this.logFile, 'a');
    const [file, ...args] = command;
    this.process = endsWithUs(spawn(file, args, { env: { PATH: process.env.PATH, HOME: root, ...env }, stdio: ['ignore', log, log] }));
    fs.closeSync(log);
    this.pid = this.process.pid;
  }

  get log() {
    return fs.readFileSync(this.logFile, 'utf8');
  }

  async said(pattern) {
    const found = () => pattern.exec(this.log) ?? this.process.exitCode !== null;
    const match = await until(found, `${this.name} to say ${pattern}`);
    if (match === true) throw new Error(`${this.name} ended:\n${this.log}`);
    return match[1];
  }

  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await withDeadline(exited, `the end of ${this.name}`).catch((error) => {
      this.process.kill('SIGKILL');
      throw error;
    });
  }
}

const statusOf = (pid) => fs.readFileSync(`/proc/${pid}/status`, 'utf8');
export const rssKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(statusOf(pid))[1]);
export function privateKb(pid) {
  const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return [...text.matchAll(/^Private_\w+:\s+(\d+)/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
}
// The most since peakFrom().
export const peakKb = (pid) => Number(/VmHWM:\s+(\d+)/.exec(statusOf(pid))[1]);
export const peakFrom = (pid) => fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');

export class Stand {
  constructor() {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-'));
    this.servers = [];
  }

  add(name, command, env) {
    const server = new Server(this.root, name, command, env);
    this.servers.push(server);
    return server;
  }

  async fake() {
    const socket = path.join(this.root, 'app-server.sock');
    const server = this.add('fake-app-server', [bin('fake-app-server'), '--listen', `unix://${socket}`, '--die-with-parent']);
    await server.said(/listening on (.*)/);
    server.socket = socket;
    return server;
  }

  // Everything as by default, but for the limits on how much at once.
  proxyEnv(fake, port, more = {}) {
    return {
      PATH: process.env.PATH, HOME: this.root, CODEX_RUNTIME_DIR: this.root, CODEX_PROXY_PORT: String(port),
      CODEX_PROXY_API_KEY: KEY, CODEX_PROXY_RATE_LIMIT: '0', CODEX_MAX_CONCURRENT: '2000', CODEX_MAX_QUEUE_DEPTH: '2000',
      CODEX_MAX_RESPONSE_SIZE: '100000000', CODEX_APP_SERVER_URL: `unix://${fake.socket}`, ...more,
    };
  }

  // under: a command that runs the proxy, such as prlimit
  async proxy(fake, { env = {}, under = [] } = {}) {
    const port = await freePort();
    const server = this.add('codex-proxy', [...under, bin('codex-proxy')], this.proxyEnv(fake, port, env));
    server.port = port;
    server.url = `http://127.0.0.1:${port}/v1/chat/completions`;
    await until(() => fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false), `the proxy to be ready`);
    return server;
  }

  async source() {
    const server = this.add('sse-source', [bin('sse-source'), '--die-with-parent']);
    server.port = Number((await server.said(/listening on (.*)/)).split(':').at(-1));
    return server;
  }

  // HAProxy, one thread, in front of a source of the same streams.
  async relay(source) {
    const port = await freePort();
    const file = path.join(this.root, 'haproxy.cfg');
    const timeouts = ['connect', 'client', 'server'].map((name) => `  timeout ${name} 120s\n`).join('');
    fs.writeFileSync(file, `global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode http\n${timeouts}listen relay\n` +
      `  bind 127.0.0.1:${port}\n  server source 127.0.0.1:${source.port}\n`);
    const server = this.add('haproxy', [haproxyBin, '-db', '-f', file]);
    server.port = port;
    server.url = `http://127.0.0.1:${port}/v1/chat/completions`;
    await until(() => fetch(server.url, { method: 'POST', body: '{}' }).then((r) => r.text(), () => false), 'HAProxy to relay');
    return server;
  }

  async stop() {
    try {
      for (const server of this.servers.reverse()) await server.stop();
    } finally {
      fs.rmSync(this.root, { recursive: true, force: true });
    }
  }
}

export async function withStand(measure) {
  const stand = new Stand();
  try {
    return await measure(stand);
  } finally {
    await stand.stop();
  }
}

// Puts load on a server: requests of this content, that many at once; what load-client tells at the end,
// with cpu_s of the watched processes by their names.
// begun: called when all have had their first delta.
export async function load(server, { content, at_once: atOnce = 1, requests = atOnce, spread, stall = false, watch = [server], begun, key = KEY }) {
  const args = ['--url', server.url, '--key', key, '--content', content, '--concurrency', atOnce, '--requests', requests];
  if (spread) args.push('--spread', spread);
  if (stall) args.push('--stall');
  for (const { pid } of watch) args.push('--cpu', pid);
  const child = endsWithUs(spawn(bin('load-client'), args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] }));
  let complaint = '';
  let result;
  let during;
  child.stderr.on('data', (data) => (complaint += data));
  onLines(child.stdout, (line) => {
    const told = JSON.parse(line);
    if (told.event === 'begun') during = begun?.(child);
    else result = told;
  });
  const [code] = await once(child, 'close');
  await during;
  if (stall && code === null) return undefined; // it was ended by who called us
  if (code !== 0) throw new Error(`load on ${server.name}: ${complaint || code}`);
  for (const { name, pid } of watch) result.cpu_s[name] = result.cpu_s[pid];
  return result;
}

// Turns by several ways, one after the other: {ways: [{way, first_ms, whole_ms, cpu_s of the client}],
// cpu_s of the server}
export async function latency(ways, { server, content = '!say 3 0 tok', rounds, warmUp = Math.ceil(rounds / 20), threadStart, key = KEY }) {
  const args = ['--key', key, '--content', content, '--rounds', rounds, '--warm-up', warmUp];
  if (server) args.push('--cpu', server.pid);
  if (threadStart) args.push('--thread-start', JSON.stringify(threadStart));
  const { stdout } = await run(bin('latency-client'), [...args, ...ways].map(String));
  return JSON.parse(stdout);
}

export async function startToReady(port, command, env) {
  const { stdout } = await run(bin('start-client'), [String(port), '/readyz', ...command], { env });
  return JSON.parse(stdout.trim().split('\n').at(-1)).ready_ms;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
