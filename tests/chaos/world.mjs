// The whole pair under a manager that starts it again as systemd would: codex-supervisor, codex-proxy,
// and an app-server, the fake one or the real one with a fake provider.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import WebSocket from 'ws';
import { ask } from '../integration/http_kit.mjs';
import { Provider } from '../integration/pair_kit.mjs';
import { buildDir, descendantsOf, endsWithUs, freePort, realCodex, until, withDeadline } from '../integration/supervisor_kit.mjs';
import { Hook, hookable } from './hook.mjs';

// What a request may take, by these settings.
export const limits = { queue_ms: 6000, request_ms: 12000, first_event_ms: 3000, idle_ms: 3000, body_ms: 30000 };
export const keys = ['sk-chaos-one', 'sk-chaos-two', 'sk-chaos-three'];

// So long systemd waits before it starts a service again.
const RESTART_MS = 100;
const DISK_MB = 64;

const modelOf = (slug) => ({
  slug, display_name: slug, base_instructions: '', truncation_policy: { mode: 'tokens', limit: 1 },
});

// codex, as far as the supervisor asks for it: its catalog, its configuration, and the fake as app-server.
const standIn = (fake) => `#!/bin/sh
case "$1" in
debug) echo '${JSON.stringify({ models: [modelOf('gpt-6.1-sol'), modelOf('gpt-5.5')] })}'; exit ;;
esac
previous=
for arg; do
	[ "$previous" != --listen ] || exec '${fake}' --listen "$arg" --die-with-parent
	previous=$arg
done
while read -r line; do
	case $line in
	*'"id":1,'*|*'"id":1}'*) echo '{"id":1,"result":{}}' ;;
	*'"id":2,'*|*'"id":2}'*) echo '{"id":2,"result":{"config":{"model_providers":{}}}}' ;;
	esac
done
`;

export class World {
  // real: the codex that is installed, else the fake. folder: where logs go.
  constructor({ folder, real = false, instances = 1, env = {}, config }) {
    Object.assign(this, { folder, real, instances, config, moreEnv: env });
    this.root = fs.mkdtempSync('/tmp/chaos-');
    this.isMounted = false;
    this.ends = []; // of supervisors: {at, code, signal, expected}
    this.begin = Date.now();
  }

  async start() {
    fs.mkdirSync(this.folder, { recursive: true });
    this.mountDisk();
    for (const dir of ['bin', 'home', 'state', 'run', 'hooks']) fs.mkdirSync(path.join(this.root, dir));
    this.bin = path.join(this.root, 'bin', 'codex-supervisor');
    this.runtime = path.join(this.root, 'run');
    this.log = path.join(this.folder, 'log');
    // on no disk that is filled: a page that is not there is a SIGBUS
    this.hooks = hookable && {
      proxy: new Hook(path.join(this.folder, 'hook-proxy')),
      supervisor: new Hook(path.join(this.folder, 'hook-supervisor')),
    };
    this.provider = this.real ? await Provider.start() : undefined;
    this.port = await freePort();
    this.writeFiles();
    this.spawnSupervisor();
    await this.ready();
  }

  mountDisk() {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', this.root], { stdio: 'ignore' });
      this.isMounted = true;
    } catch {
      // no root: nothing is filled, and that is said
    }
  }

  writeFiles() {
    const script = (name, text) => fs.writeFileSync(path.join(this.root, 'bin', name), text, { mode: 0o755 });
    const hooked = Object.entries(this.hooks ? this.hooks.proxy.env : {}).map(([k, v]) => `${k}='${v}'`).join(' ');
    fs.symlinkSync(path.join(buildDir, 'codex-supervisor'), this.bin);
    script('codex-proxy', `#!/bin/sh\nexec env ${hooked} '${path.join(buildDir, 'codex-proxy')}' "$@"\n`);
    script('codex', standIn(path.join(buildDir, 'fake-app-server')));
    this.codex = this.real ? realCodex : path.join(this.root, 'bin', 'codex');
    fs.writeFileSync(path.join(this.root, 'home', 'config.toml'), this.config ?? this.provider?.toml ?? '');
    fs.writeFileSync(path.join(this.root, 'keys'), keys.join('\n'));
    // as the built-in pair, but never given up, and never long in coming back: there is no operator
    const restarts = { max_restarts: 100, backoff_max: 2000, kill_timeout: 10000 };
    this.file = path.join(this.root, 'ecosystem.json');
    fs.writeFileSync(this.file, JSON.stringify({ apps: [
      { name: 'app-server', script: this.codex, args: ['app-server'], role: 'codex-app-server', interpreter: 'none', instances: this.instances, ...restarts },
      { name: 'proxy', script: path.join(this.root, 'bin', 'codex-proxy'), role: 'codex-proxy', interpreter: 'none', ...restarts },
    ] }));
  }

  get env() {
    return {
      PATH: process.env.PATH,
      HOME: path.join(this.root, 'home'),
      CODEX_HOME: path.join(this.root, 'home'),
      CODEX_RUNTIME_DIR: this.runtime,
      CODEX_STATE_DIR: path.join(this.root, 'state'),
      CODEX_BIN: this.codex,
      CODEX_PROXY_PORT: String(this.port),
      CODEX_PROXY_API_KEYS_FILE: path.join(this.root, 'keys'),
      CODEX_PROXY_RATE_LIMIT: '0',
      CODEX_MAX_CONCURRENT: '16',
      CODEX_MAX_QUEUE_DEPTH: '64',
      CODEX_QUEUE_TIMEOUT_MS: String(limits.queue_ms),
      CODEX_PROXY_TIMEOUT_MS: String(limits.request_ms),
      CODEX_FIRST_EVENT_TIMEOUT_MS: String(limits.first_event_ms),
      CODEX_IDLE_TIMEOUT_MS: String(limits.idle_ms),
      CODEX_DRAIN_TIMEOUT_MS: '5000',
      CODEX_CHECK_INTERVAL_MS: '500',
      CODEX_ORPHAN_SWEEP_INTERVAL_MS: '2000',
      CODEX_LOG_FORMAT: 'json',
      CODEX_LOG_LEVEL: 'info',
      UPSTREAM_KEY: 'upstream-secret',
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => /^([AL]|UB)SAN_OPTIONS$/.test(name))),
      ...this.moreEnv,
    };
  }

  spawnSupervisor() {
    const log = fs.openSync(this.log, 'a');
    // the hook leaves the first program that it is loaded into, so that must not be prlimit
    const hooked = Object.entries(this.hooks ? this.hooks.supervisor.env : {}).map(([k, v]) => `${k}=${v}`);
    const child = endsWithUs(spawn('prlimit', ['--core=0', '--', 'env', ...hooked, this.bin, 'run', this.file], {
      env: this.env, stdio: ['ignore', log, log],
    }));
    fs.closeSync(log);
    this.supervisor = child;
    this.expected = undefined;
    child.once('exit', (code, signal) => {
      this.ends.push({ at: Date.now(), pid: child.pid, code, signal, expected: this.expected });
      if (this.stopping) return;
      setTimeout(() => !this.stopping && this.spawnSupervisor(), RESTART_MS);
    });
  }

  // The answer of the control socket; throws when there is none in time.
  async control(method, params) {
    const socket = net.connect(path.join(this.runtime, 'control.sock'));
    try {
      const answer = (async () => {
        await once(socket, 'connect');
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })}\n`);
        let text = '';
        for await (const chunk of socket) if ((text += chunk).endsWith('\n')) break;
        return JSON.parse(text);
      })();
      const { result, error } = await withDeadline(answer, `an answer to ${method}`, 3000);
      if (error) throw new Error(error.message);
      return result;
    } finally {
      socket.destroy();
    }
  }

  async readyz() {
    return ask(this.port, { path: '/readyz', key: keys[0] });
  }

  async ready(ms = 30000) {
    await until(async () => {
      try {
        return (await this.readyz()).status === 200;
      } catch {
        return false;
      }
    }, `the pair to be ready, see ${this.log}`, ms);
  }

  // Pids by their place in the tree, so that a supervisor that does not answer hides none.
  pidsOf(who) {
    if (who === 'supervisor') return [this.supervisor.pid];
    const name = who === 'proxy' ? 'codex-proxy' : this.real ? 'codex' : 'fake-app-server';
    return descendantsOf(this.supervisor.pid).filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
      } catch {
        return false;
      }
    });
  }

  get appSockets() {
    return fs.readdirSync(this.runtime).filter((name) => /^app-server.*\.sock$/.test(name)).map((name) => path.join(this.runtime, name));
  }

  // Every fake that listens is told.
  async order(text) {
    await Promise.all(this.appSockets.map(async (file) => {
      const socket = new WebSocket(`ws+unix:${file}:/`, { perMessageDeflate: false });
      socket.on('error', () => {});
      const told = once(socket, 'open').then(() => {
        socket.send(JSON.stringify({ id: 1, method: 'fake/order', params: { order: text } }));
        return once(socket, 'message');
      });
      await withDeadline(told, 'an order', 500).catch(() => {}); // it may be gone, or stopped
      socket.terminate();
    }));
  }

  cli(...args) {
    const child = endsWithUs(spawn(this.bin, args, { env: this.env, stdio: 'ignore' }));
    const timer = setTimeout(() => child.kill('SIGKILL'), 20000);
    child.once('exit', () => clearTimeout(timer));
    return once(child, 'exit');
  }

  // By the log, since a supervisor that is stopped, or has no socket, does not answer.
  lastProxyState() {
    return [...this.logText().matchAll(/"msg":"proxy: \S+ -> (\w+)/g)].at(-1)?.[1];
  }

  logText() {
    return fs.readFileSync(this.log, 'utf8');
  }

  // In good order; what is left of it: {code, signal, left: pids}.
  async stop() {
    this.stopping = true;
    const { supervisor } = this;
    let end = { code: supervisor.exitCode, signal: supervisor.signalCode };
    if (end.code === null && end.signal === null) {
      const exited = once(supervisor, 'exit');
      supervisor.kill('SIGTERM');
      const [code, signal] = await withDeadline(exited, 'the end of the supervisor').catch(() => [null, 'late']);
      end = { code, signal };
    }
    const left = descendantsOf(supervisor.pid);
    return { ...end, left };
  }

  async dispose() {
    this.stopping = true;
    this.supervisor?.kill('SIGKILL');
    await this.provider?.kill();
    if (this.supervisor) await until(() => descendantsOf(this.supervisor.pid).length === 0, 'the children to be gone');
    for (const hook of Object.values(this.hooks || {})) hook.close();
    if (this.isMounted) execFileSync('umount', ['-l', this.root]);
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

