// The pair as a user runs it: codex-supervisor, the real codex, codex-proxy, and a model provider
// that records what reaches the model. And codex-proxy alone, in front of a fake app-server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { AppServerClient } from './app_server_client.mjs';
import { API_KEY, ask, chat, textOf } from './http_kit.mjs';
import { Feed, Program, complaints } from './program.mjs';
import { DEADLINE_MS, Sidecar, buildDir, descendantsOf, freePort, until, withDeadline } from './supervisor_kit.mjs';

const sanitizers = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^[AUL]SAN_OPTIONS$|^UBSAN_OPTIONS$/.test(name)),
);

export function openai(port, more = {}) {
  return new OpenAI({ apiKey: API_KEY, baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0, ...more });
}

// A fake says where it listens before anything else.
async function listening(program) {
  const { text } = await program.out.first((l) => /^listening on /.test(l.text), 'listening');
  return text.slice('listening on '.length);
}

export class Provider extends Program {
  static async start() {
    const provider = new Provider(path.join(buildDir, 'demo-provider'), [
      '--record', '-', '--events', '--die-with-parent',
    ]);
    provider.port = Number((await listening(provider)).split(':').at(-1));
    return provider;
  }

  // What codex sent, as it was recorded: {number, path, headers, body, text}.
  get requests() {
    return this.out.all.filter((l) => l.body);
  }

  // A request whose input holds this text; all of the tests' texts are different.
  async requestWith(content, from) {
    const quoted = JSON.stringify(content).slice(1, -1);
    return this.out.first((l) => l.body && l.text.includes(quoted), `a request with ${content}`, from);
  }

  // event: open, completed, aborted
  told(event, number, from) {
    const satisfies = (l) => l.event === event && (number === undefined || l.number === number);
    return this.out.first(satisfies, `${event} of request ${number}`, from);
  }

  get toml() {
    return `model_provider = "demo"
[model_providers.demo]
name = "demo"
base_url = "http://127.0.0.1:${this.port}/v1"
wire_api = "responses"
env_key = "UPSTREAM_KEY"
request_max_retries = 0
stream_max_retries = 0
`;
  }
}

// The line about the request with this id, when it is over for good: its slot is free by then.
// What the supervisor passes on has the fields in the text.
export const isOver = (id) => (line) =>
  line.outcome ? line.request_id === id : (line.msg ?? '').includes(`request_id=${id} `);

// Not even at level debug: keys, and what is said.
function assertNoSecret(log) {
  for (const secret of [API_KEY, 'upstream-secret', '!say'])
    assert.ok(!log.includes(secret), `${secret} in\n${log}`);
}

export class Pair {
  static async start({ env = {}, config, apps, wait = true } = {}) {
    const pair = new Pair();
    pair.provider = await Provider.start();
    pair.sidecar = new Sidecar({
      proxy: null,
      codex: null,
      config: config?.(pair.provider) ?? pair.provider.toml,
      apps,
      env: {
        CODEX_PROXY_PORT: String(await freePort()),
        CODEX_PROXY_API_KEY: API_KEY,
        CODEX_PROXY_RATE_LIMIT: '0',
        ...sanitizers,
        ...env,
      },
    });
    pair.sidecar.start();
    try {
      if (wait) await pair.sidecar.ready();
    } catch (error) {
      await pair.dispose();
      throw error;
    }
    return pair;
  }

  get port() {
    return this.sidecar.port;
  }

  get client() {
    return (this.ownClient ??= openai(this.port));
  }

  // Of the app-server that came last: each replacement takes the other one of two sockets.
  get socketUrl() {
    const born = (file) => fs.lstatSync(file, { throwIfNoEntry: false })?.ctimeMs ?? 0;
    const sockets = fs.readdirSync(this.sidecar.runtime).filter((name) => /^app-server-0.*\.sock$/.test(name))
      .map((name) => path.join(this.sidecar.runtime, name))
      .sort((a, b) => born(b) - born(a));
    return `unix://${sockets[0]}`;
  }

  over(id, from) {
    return this.sidecar.line(isOver(id), `the end of ${id}`, from);
  }

  async inFlight() {
    const { json } = await ask(this.port, { path: '/readyz' });
    return json.in_flight + json.queued;
  }

  // Nothing is left: in the proxy, as the supervisor knows it, in the app-server.
  async assertIdle() {
    assert.equal(await this.inFlight(), 0);
    const idle = async () => {
      const { proxy } = await this.sidecar.status();
      return proxy.in_flight === 0 && proxy.queued === 0 && proxy.threads === 0;
    };
    await until(idle, 'status to show nothing in flight');
    await noThreadIsLoaded(this.socketUrl);
  }

  // All of it ends in good order.
  async stop() {
    try {
      const end = await this.sidecar.stop();
      const log = this.sidecar.lines.map((l) => l.text).join('\n');
      assert.deepEqual(end, { code: 0, signal: null }, log);
      assert.doesNotMatch(log, complaints);
      assertNoSecret(log);
      assert.deepEqual(descendantsOf(this.sidecar.pid), []);
      await this.provider.stop();
    } finally {
      await this.dispose();
    }
  }

  // Whatever happened, nothing stays.
  async dispose() {
    await this.provider.kill();
    await this.sidecar.dispose();
  }
}

export async function pair(t, options) {
  const p = await Pair.start(options);
  t.after(() => p.stop());
  return p;
}

// codex-proxy in front of an app-server that does what a test says.
export class FakeAppServer extends Program {
  static async start(url, ...orders) {
    const fake = new FakeAppServer(
      path.join(buildDir, 'fake-app-server'),
      ['--listen', url, '--record', '-', '--control', '--die-with-parent', ...orders.flatMap((o) => ['--on', o])],
      { stdin: 'pipe' },
    );
    fake.url = await listening(fake);
    return fake;
  }

  // See the usage text of fake-app-server.
  async order(text) {
    const from = this.out.mark;
    this.process.stdin.write(`${text}\n`);
    await this.out.first((l) => l.text === `done ${text}`, `done ${text}`, from);
  }

  // What the proxy sent.
  heard(method, from = 0, satisfies = () => true) {
    return this.out.first((l) => l.method === method && satisfies(l), `${method} from the proxy`, from);
  }

  count(method) {
    return this.out.all.filter((l) => l.method === method).length;
  }
}

export class LoneProxy extends Program {
  // under: a command that runs it, such as prlimit
  static async start(url, env = {}, under = []) {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'proxy-'));
    const port = await freePort();
    const [file, ...args] = [...under, path.join(buildDir, 'codex-proxy')];
    const proxy = new LoneProxy(file, args, {
      env: {
        PATH: process.env.PATH,
        HOME: root,
        CODEX_RUNTIME_DIR: root,
        CODEX_PROXY_PORT: String(port),
        CODEX_PROXY_API_KEY: API_KEY,
        CODEX_PROXY_RATE_LIMIT: '0',
        CODEX_APP_SERVER_URL: url,
        CODEX_LOG_FORMAT: 'json',
        CODEX_LOG_LEVEL: 'debug',
        ...sanitizers,
        ...env,
      },
      more: ['ipc'],
    });
    proxy.root = root;
    proxy.port = port;
    // as a process manager of Node's world hears it
    proxy.ready = new Promise((resolve) => {
      proxy.process.once('message', (message) => message === 'ready' && resolve());
    });
    return proxy;
  }

  async stop() {
    await super.stop();
    assertNoSecret(this.logText);
  }

  over(id, from) {
    return this.line(isOver(id), `the end of ${id}`, from);
  }

  async readyz() {
    return ask(this.port, { path: '/readyz' });
  }

  get rssKb() {
    return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]);
  }
}

// A proxy and a fake, ready. orders: given to the fake from the start.
export async function lone(t, { env, under, orders = [], over = 'unix', wait = true } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'app-server-'));
  const url = over === 'tcp' ? 'ws://127.0.0.1:0' : `unix://${path.join(dir, 'a.sock')}`;
  const fake = await FakeAppServer.start(url, ...orders);
  const proxy = await LoneProxy.start(fake.url, env, under);
  const both = { fake, proxy, port: proxy.port, dir };
  t.after(async () => {
    try {
      await proxy.stop();
      await both.fake.stop();
    } finally {
      await proxy.kill();
      await both.fake.kill();
      fs.rmSync(dir, { recursive: true, force: true });
      fs.rmSync(proxy.root, { recursive: true, force: true });
    }
  });
  if (wait) await isReady(proxy);
  return both;
}

export async function isReady(proxy) {
  await withDeadline(proxy.ready, 'the proxy to be ready').catch((error) => {
    error.message += `\n${proxy.logText}`;
    throw error;
  });
}

export async function noThreadIsLoaded(url) {
  const behind = await AppServerClient.connect(url);
  await until(async () => (await behind.loadedThreads()).length === 0, 'no thread to be loaded');
  behind.close();
}

// After whatever happened: the next request is served, and nothing is left on either side.
export async function assertWell({ fake, port }) {
  assert.equal(textOf(await chat(port, '!say 1 0 well')), 'well');
  await noThreadIsLoaded(fake.url);
}

export { AppServerClient, DEADLINE_MS, Feed, until, withDeadline };
