// A supervisor in a temporary folder, with stand-ins for what it starts where a test wants them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
export const buildDir = process.env.SIDECAR_BUILD ?? path.resolve(here, '../../build');
export const supervisorBin = path.join(buildDir, 'codex-supervisor');
const standins = path.join(here, 'standins');

// Everything waits for an event with this deadline; only a broken test comes near it.
export const DEADLINE_MS = 30000;

export function onPath(name) {
  for (const dir of (process.env.PATH ?? '').split(':')) {
    const file = path.join(dir, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return file;
    } catch {
      // look further
    }
  }
  return undefined;
}

export const realCodex = process.env.SIDECAR_CODEX_BIN ?? process.env.CODEX_BIN ?? onPath('codex');
export const needsCodex = realCodex
  ? {}
  : { skip: 'no codex: put it on PATH, or name it in SIDECAR_CODEX_BIN' };

export function withDeadline(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// For what the kernel tells by no event: /proc.
export async function until(condition, what, ms = DEADLINE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// A test run that is ended from outside takes what it has started with it.
const started = new Set();
process.on('exit', () => started.forEach((child) => child.kill('SIGKILL')));
for (const [signal, number] of [['SIGTERM', 15], ['SIGINT', 2], ['SIGHUP', 1]])
  process.on(signal, () => process.exit(128 + number));

export function endsWithUs(child) {
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}

export function environOf(pid) {
  const text = fs.readFileSync(`/proc/${pid}/environ`, 'utf8');
  return Object.fromEntries(
    text.split('\0').filter(Boolean).map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

// Whatever a supervisor with this pid has started, directly or not, that kept its environment.
export function descendantsOf(supervisorPid) {
  const found = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const run = environOf(name).CODEX_SIDECAR_RUN;
      const state = fs.readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1][0];
      if (run?.startsWith(`${supervisorPid}.`) && state !== 'Z') found.push(Number(name));
    } catch {
      // gone meanwhile, or somebody else's
    }
  }
  return found;
}

class Control {
  constructor(socketPath) {
    this.socket = net.connect(socketPath);
    this.nextId = 1;
    this.pending = new Map();
    readline.createInterface({ input: this.socket }).on('line', (line) => {
      const message = JSON.parse(line);
      this.pending.get(message.id)?.(message);
      this.pending.delete(message.id);
    });
  }

  raw(message) {
    return new Promise((resolve, reject) => {
      this.socket.once('error', reject);
      this.pending.set(message.id, resolve);
      this.socket.write(JSON.stringify(message) + '\n');
    });
  }

  ask(method, params, ms) {
    const id = this.nextId++;
    return withDeadline(this.raw({ jsonrpc: '2.0', id, method, params }), `answer to ${method}`, ms);
  }

  close() {
    this.socket.destroy();
  }
}

export class Sidecar {
  // proxy: how the stand-in for codex-proxy behaves; null: the real one.
  // codex: how the stand-in for codex behaves; null: the real one (realCodex, or env.CODEX_BIN).
  // apps: those of an ecosystem file; else the built-in pair is run.
  constructor({ proxy = {}, codex = {}, config, env = {}, apps } = {}) {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'supervisor-'));
    for (const dir of ['bin', 'home', 'state']) fs.mkdirSync(path.join(this.root, dir));
    this.runtime = path.join(this.root, 'run');
    this.state = path.join(this.root, 'state');
    this.bin = path.join(this.root, 'bin', 'codex-supervisor');
    this.codexCalls = path.join(this.root, 'codex-calls');
    fs.copyFileSync(supervisorBin, this.bin);
    fs.chmodSync(this.bin, 0o755);
    if (proxy) this.standIn('codex-proxy', 'proxy.mjs', proxy);
    else fs.copyFileSync(path.join(buildDir, 'codex-proxy'), path.join(this.root, 'bin', 'codex-proxy'));
    if (codex) this.standIn('codex', 'codex.mjs', { calls: this.codexCalls, ...codex });
    this.setConfig(config ?? deadProvider);
    this.env = {
      PATH: process.env.PATH,
      HOME: path.join(this.root, 'home'),
      CODEX_HOME: path.join(this.root, 'home'),
      CODEX_RUNTIME_DIR: this.runtime,
      CODEX_STATE_DIR: this.state,
      CODEX_BIN: codex ? path.join(this.root, 'bin', 'codex') : realCodex,
      CODEX_PROXY_API_KEY: 'sk-test-of-the-supervisor',
      CODEX_LOG_FORMAT: 'json',
      CODEX_LOG_LEVEL: 'debug',
      UPSTREAM_KEY: 'upstream-secret',
      ...pass('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'),
      ...env,
    };
    this.lines = [];
    this.waiters = new Set();
    if (apps) this.setApps(apps);
  }

  setApps(apps) {
    this.file = path.join(this.root, 'ecosystem.json');
    fs.writeFileSync(this.file, typeof apps === 'string' ? apps : JSON.stringify({ apps }));
  }

  // A script that runs the module in standins/ with these options.
  standIn(name, module, options) {
    const file = path.join(this.root, 'bin', name);
    const target = JSON.stringify(path.join(standins, module));
    fs.writeFileSync(
      file,
      `#!/bin/sh\nSTANDIN='${JSON.stringify(options)}' exec ${process.execPath} ${target} "$@"\n`,
    );
    fs.chmodSync(file, 0o755);
  }

  setConfig(toml) {
    fs.writeFileSync(path.join(this.root, 'home', 'config.toml'), toml);
  }

  start({ under = [], fds = [] } = {}) {
    const [file, ...args] = [...under, this.bin, 'run', ...(this.file ? [this.file] : [])];
    this.process = endsWithUs(spawn(file, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe', ...fds] }));
    this.process.setMaxListeners(0); // one for each line that was waited for
    this.pid = this.process.pid;
    this.exited = once(this.process, 'exit').then(([code, signal]) => ({ code, signal }));
    readline.createInterface({ input: this.process.stderr }).on('line', (text) => {
      let line;
      try {
        line = JSON.parse(text);
      } catch {
        line = { text };
      }
      line.text = text;
      this.lines.push(line);
      for (const waiter of this.waiters) waiter(line);
    });
    return this;
  }

  // The first log line from `from` on (default: all of the past too) that satisfies.
  line(satisfies, what, from = 0) {
    const seen = this.lines.slice(from).find(satisfies);
    if (seen) return Promise.resolve(seen);
    return withDeadline(
      new Promise((resolve, reject) => {
        const waiter = (line) => {
          if (!satisfies(line)) return;
          this.waiters.delete(waiter);
          resolve(line);
        };
        this.waiters.add(waiter);
        this.process.once('exit', () => setImmediate(() => reject(new Error(`ended before ${what}`))));
      }),
      what,
    ).catch((error) => {
      error.message += `\n${this.lines.map((l) => l.text).join('\n')}`;
      throw error;
    });
  }

  became(app, to, from = 0) {
    return this.line((l) => l.app === app && l.to === to, `${app} to be ${to}`, from);
  }

  ready() {
    return this.line((l) => /^ready(: serving on|$)/.test(l.msg ?? ''), 'ready');
  }

  get mark() {
    return this.lines.length;
  }

  control() {
    return new Control(path.join(this.runtime, 'control.sock'));
  }

  async ask(method, params) {
    const control = this.control();
    try {
      return await control.ask(method, params);
    } finally {
      control.close();
    }
  }

  async status() {
    return (await this.ask('status')).result;
  }

  async app(name) {
    return (await this.status()).apps.find((app) => app.name === name);
  }

  // What the stand-in for the proxy has told, in order.
  get proxySaid() {
    return this.lines
      .map((line) => /STANDIN (\{.*\})/.exec(line.msg ?? '')?.[1])
      .filter(Boolean)
      .map((text) => JSON.parse(text));
  }

  get port() {
    return Number(this.env.CODEX_PROXY_PORT);
  }

  async stop(signal = 'SIGTERM') {
    this.process.kill(signal);
    return withDeadline(this.exited, 'the end');
  }

  // Runs a command of the command line against this one.
  cli(...args) {
    const child = spawn(this.bin, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    return withDeadline(
      once(child, 'close').then(([code]) => ({ code, stdout, stderr })),
      args.join(' '),
    );
  }

  // For t.after(): nothing of it may be left, and no sanitizer may have complained.
  async dispose() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await this.exited;
    }
    const log = this.lines.map((l) => l.text).join('\n');
    if (this.pid) await until(() => descendantsOf(this.pid).length === 0, 'the children to be gone');
    fs.rmSync(this.root, { recursive: true, force: true });
    if (/Sanitizer|Assertion|runtime error/.test(log)) throw new Error(log);
  }
}

function pass(...names) {
  return Object.fromEntries(names.filter((n) => process.env[n]).map((n) => [n, process.env[n]]));
}

const deadProvider = `
model_provider = "up"
[model_providers.up]
name = "up"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
env_key = "UPSTREAM_KEY"
`;

// An app that behaves as the options say (standins/plain.mjs).
export function plainApp(name, options = {}, more = {}) {
  return {
    name,
    script: path.join(standins, 'plain.mjs'),
    interpreter: process.execPath,
    args: [JSON.stringify(options)],
    ...more,
  };
}

export async function sidecar(t, options) {
  const s = new Sidecar(options);
  s.env.CODEX_PROXY_PORT ??= String(await freePort());
  t.after(() => s.dispose());
  return s;
}
