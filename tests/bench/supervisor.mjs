// What a supervised app waits for: a new process after kill -9 and in a planned restart, the start of
// everything; and what the supervisor costs meanwhile. Beside PM2, where `pm2` is on PATH or in
// tests/node_modules.
//
//   node tests/bench/supervisor.mjs [KILLS]     (default 20; SIDECAR_BUILD, SIDECAR_CODEX_BIN as in the tests)
//
// Exit code 0: within the targets at the end of this file.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Feed, onLines } from '../integration/program.mjs';
import {
  buildDir, endsWithUs, environOf, freePort, realCodex, Sidecar, supervisorBin, until,
} from '../integration/supervisor_kit.mjs';

const KILLS = Number(process.argv[2] ?? 20);
const STABLE_MS = 2000; // longer than min_uptime below, and than any supervisor's throttle of 1 s
const RESTARTS = 5;
const IDLE_MS = 10000;
const READY_ROUNDS = 5;
const here = path.dirname(new URL(import.meta.url).pathname);
const run = promisify(execFile);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => process.hrtime.bigint();
const ms = (ns) => Number(ns) / 1e6;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

// --- the apps: two of them, which tell of each start and end through a fifo ---------------------

class Stamps {
  constructor(root) {
    this.fifo = path.join(root, 'stamps');
    execFileSync('mkfifo', [this.fifo]);
    this.feed = new Feed();
    // read and write: it never comes to an end while an app is away. A socket: its reads block nobody
    this.stream = new net.Socket({ fd: fs.openSync(this.fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK), writable: false });
    onLines(this.stream, (line) => {
      const [tag, what, pid, ns] = line.split(' ');
      this.feed.push({ tag, what, pid: Number(pid), ns: BigInt(ns) });
    });
  }

  next(tag, what, from) {
    return this.feed.first((s) => s.tag === tag && s.what === what, `${tag} to ${what}`, from);
  }

  close() {
    this.stream.destroy();
  }
}

function ecosystem(root, fifo) {
  const file = path.join(root, 'ecosystem.json');
  const app = (name) => ({
    name, script: path.join(buildDir, 'stamp'), args: [fifo, name], interpreter: 'none', min_uptime: 1000, max_restarts: 1000,
  });
  fs.writeFileSync(file, JSON.stringify({ apps: [app('one'), app('two')] }));
  return file;
}

// --- the supervisors --------------------------------------------------------------------------

const ours = {
  name: 'codex-supervisor',
  async start(root, file) {
    this.env = { ...process.env, CODEX_RUNTIME_DIR: path.join(root, 'run'), CODEX_STATE_DIR: path.join(root, 'state'),
      CODEX_LOG_LEVEL: 'warning' };
    this.process = endsWithUs(spawn(supervisorBin, ['run', file], { env: this.env, stdio: ['ignore', 'ignore', 'inherit'] }));
    return this.process.pid;
  },
  restart(name) {
    return run(supervisorBin, ['restart', name], { env: this.env });
  },
  async stop() {
    this.process.kill('SIGTERM');
    if (this.process.exitCode === null) await once(this.process, 'exit');
  },
};

const pm2Bin = [path.join(here, '../node_modules/.bin/pm2'), ...(process.env.PATH ?? '').split(':').map((dir) => path.join(dir, 'pm2'))]
  .find((file) => fs.existsSync(file));

const pm2 = {
  name: 'PM2',
  async start(root, file) {
    this.env = { ...process.env, PM2_HOME: path.join(root, 'pm2'), PM2_DISABLE_VERSION_CHECK: 'true' };
    const started = run(pm2Bin, ['start', file], { env: this.env });
    await started;
    return Number(fs.readFileSync(path.join(root, 'pm2', 'pm2.pid'), 'utf8'));
  },
  restart(name) {
    return run(pm2Bin, ['restart', name], { env: this.env });
  },
  async stop() {
    await run(pm2Bin, ['kill'], { env: this.env });
  },
};

// --- measuring --------------------------------------------------------------------------------

function memoryOf(pid) {
  const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Rss:\s+(\d+) kB/m.exec(text)[1]);
}

function switchesOf(pid) {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return [...text.matchAll(/ctxt_switches:\s+(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
}

async function measureKills(stamps, pid) {
  const waits = [];
  for (let i = 0; i < KILLS; i++) {
    await sleep(STABLE_MS);
    const from = stamps.feed.mark;
    const killed = now();
    process.kill(pid, 'SIGKILL');
    const start = await stamps.next('one', 'start', from);
    waits.push(ms(start.ns - killed));
    pid = start.pid;
  }
  return waits;
}

async function measureRestarts(supervisor, stamps) {
  const gaps = [];
  for (let i = 0; i < RESTARTS; i++) {
    await sleep(STABLE_MS);
    const from = stamps.feed.mark;
    const [, end, start] = await Promise.all([supervisor.restart('two'), stamps.next('two', 'end', from),
      stamps.next('two', 'start', from)]);
    gaps.push(ms(start.ns - end.ns));
  }
  return gaps;
}

async function measure(supervisor) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-supervisor-'));
  const stamps = new Stamps(root);
  try {
    const file = ecosystem(root, stamps.fifo);
    const begin = now();
    const started = supervisor.start(root, file);
    const first = await Promise.all([stamps.next('one', 'start'), stamps.next('two', 'start')]);
    const pid = await started;
    await sleep(STABLE_MS);
    const switches = switchesOf(pid);
    await sleep(IDLE_MS);
    const result = {
      name: supervisor.name,
      cold_start_ms: ms(first.map((s) => s.ns).reduce((a, b) => (a > b ? a : b)) - begin),
      wakeups_per_s: ((switchesOf(pid) - switches) / IDLE_MS) * 1000,
      rss_kb: memoryOf(pid),
      kill_ms: await measureKills(stamps, first[0].pid),
      restart_ms: await measureRestarts(supervisor, stamps),
    };
    result.rss_after_kb = memoryOf(pid);
    return result;
  } finally {
    await supervisor.stop();
    stamps.close();
    fs.rmSync(root, { recursive: true, force: true });
  }
}

function print(result) {
  const spread = (values) =>
    `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)})`;
  console.log(`${result.name}
  kill -9 to the new process's main()         ${spread(result.kill_ms)} ms, median of ${result.kill_ms.length}
  planned restart, old one's end to new start ${spread(result.restart_ms)} ms
  start to both apps running                  ${result.cold_start_ms.toFixed(1)} ms
  resident, idle / after all this             ${result.rss_kb} / ${result.rss_after_kb} kB
  context switches, idle                      ${result.wakeups_per_s.toFixed(2)} a second`);
}

// --- the pair with the real codex ---------------------------------------------------------------

// From exec to the answer to a WebSocket upgrade, by codex alone.
async function ownStart(s) {
  const socket = path.join(s.root, 'alone.sock');
  const { pid } = (await s.status()).apps.find((a) => a.name === 'app-server-0');
  const [, ...args] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  const file = fs.readlinkSync(`/proc/${pid}/exe`);
  const begin = now();
  const child = endsWithUs(spawn(file, args.map((a) => (a.startsWith('unix://') ? `unix://${socket}` : a)),
    { env: Object.fromEntries(Object.entries(environOf(pid)).filter(([name]) => name !== 'CODEX_SIDECAR_RUN')), stdio: 'ignore' }));
  await until(() => upgraded(socket), 'codex to answer');
  const took = ms(now() - begin);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return took;
}

function upgraded(socketPath) {
  return new Promise((resolve) => {
    const request = http.request({ socketPath, path: '/', headers: {
      connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
    } });
    request.on('upgrade', (_, socket) => { socket.destroy(); resolve(true); });
    request.on('error', () => resolve(false));
    request.end();
  });
}

async function measurePair() {
  const s = new Sidecar({ proxy: null, codex: null, env: { CODEX_PROXY_PORT: String(await freePort()) } });
  try {
    const begin = now();
    s.start();
    await until(() => connects(path.join(s.runtime, 'control.sock')), 'the control socket');
    const result = { answers_ms: ms(now() - begin), own_ms: [], back_ms: [] };
    await s.ready();
    await sleep(STABLE_MS);
    const switches = switchesOf(s.pid);
    await sleep(IDLE_MS);
    result.wakeups_per_s = ((switchesOf(s.pid) - switches) / IDLE_MS) * 1000;
    result.rss_kb = memoryOf(s.pid);
    for (let i = 0; i < READY_ROUNDS; i++) {
      result.own_ms.push(await ownStart(s));
      await sleep(5500); // longer than the pair's min_uptime
      const { pid } = (await s.status()).apps.find((a) => a.name === 'app-server-0');
      const from = s.lines.length;
      const begin = now();
      process.kill(pid, 'SIGKILL');
      await s.line((l) => l.app === 'app-server-0' && l.to === 'ready', 'app-server-0 to be ready again', from);
      result.back_ms.push(ms(now() - begin));
    }
    return result;
  } finally {
    await s.dispose();
  }
}

function connects(socketPath) {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

// --- the run ------------------------------------------------------------------------------------

const TARGETS = {
  kill_ms: 3, // kill -9 of a stable app to the new one's main()
  restart_ms: 5, // between the two of a planned restart
  back_ms: 50, // to ready again, beyond codex's own start
  rss_kb: 4096, // the supervisor, idle, with the pair
  answers_ms: 10, // from its start to its control socket
};

const missed = [];
function judge(name, value) {
  if (value > TARGETS[name]) missed.push(`${name} ${value.toFixed(1)} > ${TARGETS[name]}`);
}

const mine = await measure(ours);
print(mine);
judge('kill_ms', median(mine.kill_ms));
judge('restart_ms', median(mine.restart_ms));
if (pm2Bin) print(await measure(pm2));
else console.log('PM2 is not installed');
if (realCodex) {
  const pair = await measurePair();
  const beyond = median(pair.back_ms) - median(pair.own_ms);
  console.log(`the pair, with the real codex
  kill -9 of the app-server to ready          ${median(pair.back_ms).toFixed(1)} ms; codex alone starts in ${median(pair.own_ms).toFixed(1)} ms
  the supervisor's start to its control socket ${pair.answers_ms.toFixed(1)} ms
  resident, idle                              ${pair.rss_kb} kB
  context switches, idle                      ${pair.wakeups_per_s.toFixed(2)} a second`);
  judge('back_ms', beyond);
  judge('rss_kb', pair.rss_kb);
  judge('answers_ms', pair.answers_ms);
}
console.log(missed.length === 0 ? 'all targets met' : `missed: ${missed.join(', ')}`);
process.exit(missed.length === 0 ? 0 : 1);
