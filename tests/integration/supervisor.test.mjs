// codex-supervisor from outside: what an operator sees of a pair that runs, breaks and stops.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  descendantsOf,
  environOf,
  needsCodex,
  realCodex,
  sidecar,
  until,
  withDeadline,
} from './supervisor_kit.mjs';

function get(port) {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: '127.0.0.1', path: '/', agent: false }, (response) => {
        let body = '';
        response.on('data', (data) => (body += data));
        response.on('end', () => resolve(body));
      })
      .on('error', reject);
  });
}

test('the pair starts, and status has the documented shape', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } })).start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const status = await s.status();
  assert.deepEqual(Object.keys(status).sort(), [
    'apps', 'auth', 'pid', 'proxy', 'ready', 'state', 'uptime_ms', 'version', 'warnings',
  ]);
  assert.equal(status.pid, s.pid);
  assert.equal(status.state, 'running');
  assert.equal(status.ready, true);
  assert.deepEqual(status.warnings, []);
  assert.deepEqual(status.apps.map((a) => a.name), ['app-server-0', 'app-server-1', 'proxy']);
  for (const app of status.apps) {
    assert.deepEqual(Object.keys(app).sort(), [
      'instance', 'last_exit', 'name', 'next_retry_ms', 'pid', 'reason', 'restarts', 'rss_bytes',
      'since_ms', 'state',
    ]);
    assert.equal(app.state, 'ready');
    assert.equal(app.restarts, 0);
    assert.equal(app.last_exit, null);
    assert.equal(app.next_retry_ms, null);
    assert.ok(app.rss_bytes > 0);
    assert.equal(environOf(app.pid).CODEX_SIDECAR_RUN.split('.')[1], app.name);
  }
  assert.match(await get(s.port), /^served by \d+\n$/);
  const { code, stdout } = await s.cli('status');
  assert.equal(code, 0);
  assert.match(stdout, /app-server-0 +\d+ +ready/);
});

test('the proxy is told where the app-servers are, and when they come and go', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const url = `unix://${fs.realpathSync(s.runtime)}/app-server-0.sock`;
  const hello = s.proxySaid.find((said) => said.heard?.id === 1).heard.result;
  assert.equal(hello.backends.length, 1);
  assert.equal(hello.backends[0].url, url);
  const { pid } = await s.app('app-server-0');
  const from = s.mark;
  process.kill(pid, 'SIGKILL');
  await s.became('app-server-0', 'ready', from);
  await s.line((l) => /STANDIN .*backend\/up.*"generation":2/.test(l.msg), 'backend/up', from);
  const heard = s.proxySaid.map((said) => said.heard).filter((m) => m?.method?.startsWith('backend/'));
  const down = heard.find((m) => m.method === 'backend/down');
  assert.match(down.params.reason, /killed by SIGKILL/);
  assert.deepEqual(heard.at(-1).params, { id: 0, url, generation: 2 });
  const app = await s.app('app-server-0');
  assert.equal(app.restarts, 1);
  assert.equal(app.last_exit.signal, 'SIGKILL');
  assert.equal(app.last_exit.code, null);
});

test('kill -9 of the real app-server: a new one is ready without help', needsCodex, async (t) => {
  const s = (await sidecar(t, { codex: null })).start();
  await s.ready();
  const before = await s.app('app-server-0');
  const from = s.mark;
  process.kill(before.pid, 'SIGKILL');
  await s.became('app-server-0', 'ready', from);
  const after = await s.app('app-server-0');
  assert.notEqual(after.pid, before.pid);
  assert.equal((await s.status()).ready, true);
});

test("the real codex runs natively in a home of its own, without the proxy's key", needsCodex, async (t) => {
  const s = await sidecar(t, { codex: null });
  s.env.NOTIFY_SOCKET = path.join(s.root, 'nobody-listens');
  s.env.SOME_SECRET = 'not-for-children';
  s.start();
  await s.ready();
  const { pid } = await s.app('app-server-0');
  const exe = fs.readlinkSync(`/proc/${pid}/exe`);
  assert.equal(path.basename(exe), 'codex');
  const head = Buffer.alloc(4);
  fs.readSync(fs.openSync(exe, 'r'), head, 0, 4, 0);
  assert.equal(head.toString('latin1'), '\x7fELF');
  const ppid = /\) . (\d+)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))[1];
  assert.equal(Number(ppid), s.pid);
  const env = environOf(pid);
  assert.equal(env.UPSTREAM_KEY, 'upstream-secret');
  for (const name of ['CODEX_PROXY_API_KEY', 'NOTIFY_SOCKET', 'SOME_SECRET', 'LISTEN_FDS'])
    assert.equal(env[name], undefined, name);
  const home = env.CODEX_HOME;
  assert.equal(home, path.join(fs.realpathSync(s.state), 'home-0'));
  assert.equal(fs.readlinkSync(path.join(home, 'auth.json')), path.join(s.root, 'home', 'auth.json'));
  assert.ok(fs.statSync(path.join(home, 'logs_2.sqlite')).isDirectory());
  assert.equal(fs.statSync(home).mode & 0o777, 0o700);
  assert.ok(!fs.existsSync(path.join(home, 'sessions')));
  assert.deepEqual(fs.readdirSync(path.join(s.root, 'home')), ['config.toml']);
});

test("nothing of the user's config.toml but the provider reaches the server", needsCodex, async (t) => {
  const ran = 'touched-by-mcp';
  const s = await sidecar(t, { codex: null });
  s.setConfig(`
model_provider = "up"
notify = ["/bin/false"]
developer_instructions = "LEAK"
[mcp_servers.leak]
command = "/bin/touch"
args = ["${path.join(s.root, ran)}"]
[model_providers.up]
name = "up"
base_url = "http://127.0.0.1:9/v1"
env_key = "UPSTREAM_KEY"
http_headers = { "X-Quote" = "a \\"b\\" \\u007f é" }
`);
  s.start();
  await s.ready();
  const toml = fs.readFileSync(path.join(s.state, 'home-0', 'config.toml'), 'utf8');
  assert.match(toml, /model_provider = "up"/);
  assert.match(toml, /X-Quote/);
  assert.doesNotMatch(toml, /LEAK|mcp_servers|notify/);
  assert.ok(!fs.existsSync(path.join(s.root, ran)));
});

test('a config.toml with a mistake stops the start, with the place of the mistake', needsCodex, async (t) => {
  const s = await sidecar(t, { codex: null, config: 'model_provider = "up"\nnot_a_key = 1\n' });
  s.start();
  const { code } = await s.exited;
  assert.equal(code, 78);
  assert.ok(s.lines.some((l) => /config\.toml/.test(l.msg) && /not_a_key/.test(l.msg)));
});

test('what codex was asked once is not asked again at the next start', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  await s.stop();
  const first = fs.readFileSync(s.codexCalls, 'utf8').trim().split('\n');
  assert.equal(first.filter((l) => /debug models/.test(l)).length, 1);
  const models = JSON.parse(fs.readFileSync(path.join(s.runtime, 'models.json'), 'utf8'));
  assert.equal(models.models[0].base_instructions, '');
  s.start();
  await s.line((l) => /ready: serving/.test(l.msg), 'ready', s.mark);
  const second = fs.readFileSync(s.codexCalls, 'utf8').trim().split('\n');
  assert.equal(second.filter((l) => /debug models/.test(l)).length, 1);
  assert.equal(second.length, first.length + 1);
});

test('while the proxy restarts, no new connection is refused', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const { pid } = await s.app('proxy');
  const from = s.mark;
  process.kill(pid, 'SIGKILL');
  const answers = [];
  const asking = (async () => {
    while (!s.lines.slice(from).some((l) => l.app === 'proxy' && l.to === 'ready'))
      answers.push(await get(s.port).catch((error) => error));
  })();
  await s.became('proxy', 'ready', from);
  await asking;
  // one that the killed proxy had accepted may be cut; none may be refused
  assert.ok(answers.every((a) => a.code !== 'ECONNREFUSED'), String(answers.find((a) => a.code)));
  assert.match(await get(s.port), /served by/);
  assert.equal((await s.app('app-server-0')).restarts, 0);
});

for (const [what, codex] of [['the stand-ins', {}], ['the real codex', null]]) {
  test(`kill -9 of the supervisor leaves none of ${what} alive`, codex ? {} : needsCodex, async (t) => {
    const s = (await sidecar(t, { codex })).start();
    await s.ready();
    const pids = (await s.status()).apps.map((a) => a.pid);
    s.process.kill('SIGKILL');
    await s.exited;
    await until(
      () => pids.every((pid) => !fs.existsSync(`/proc/${pid}`) || /^Z/.test(stateOf(pid))),
      'the children to be gone',
      2000,
    );
    assert.deepEqual(descendantsOf(s.pid), []);
  });
}

function stateOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1];
  } catch {
    return 'Z';
  }
}

// The shim is what is on PATH after npm install; where SIDECAR_CODEX_BIN names the program behind
// it, the shim is in the package beside.
function npmShim() {
  const candidates = [
    realCodex,
    realCodex && path.resolve(fs.realpathSync(realCodex), '../../../../../codex/bin/codex.js'),
  ];
  return candidates.find((file) => {
    if (!file || !fs.existsSync(file)) return false;
    const head = Buffer.alloc(2);
    const fd = fs.openSync(file, 'r');
    fs.readSync(fd, head, 0, 2, 0);
    fs.closeSync(fd);
    return head.toString() === '#!';
  });
}

test("npm's shim in CODEX_BIN: the native binary is the direct child", async (t) => {
  const shim = npmShim();
  if (!shim) return t.skip('no npm shim of codex on this machine');
  const s = (await sidecar(t, { codex: null, env: { CODEX_BIN: shim } })).start();
  await s.ready();
  const { pid } = await s.app('app-server-0');
  assert.equal(path.basename(fs.readlinkSync(`/proc/${pid}/exe`)), 'codex');
  s.process.kill('SIGKILL');
  await s.exited;
  await until(() => descendantsOf(s.pid).length === 0, 'all to be gone', 2000);
});

test('what a killed app-server left behind is gone before the next one starts', async (t) => {
  const s = (await sidecar(t, { codex: { orphan: true } })).start();
  await s.ready();
  const { pid } = await s.app('app-server-0');
  const family = () => descendantsOf(s.pid).filter((p) => environOf(p).CODEX_SIDECAR_RUN?.includes('app-server-0.1'));
  await until(() => family().length === 3, 'the grandchildren');
  const from = s.mark;
  process.kill(pid, 'SIGKILL');
  await s.became('app-server-0', 'starting', from);
  assert.deepEqual(family(), []);
});

test('a second supervisor on the same folder is refused and named the first', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const { code, stderr } = await s.cli('run');
  assert.equal(code, 70);
  assert.match(stderr, new RegExp(`another codex-supervisor, pid ${s.pid}\\b`));
  assert.equal((await s.status()).ready, true);
});

test('a port that is taken is one clear line and exit code 70', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const s = await sidecar(t, { env: { CODEX_PROXY_PORT: String(server.address().port) } });
  s.start();
  const { code } = await s.exited;
  assert.equal(code, 70);
  assert.equal(s.lines.filter((l) => l.level === 'error').length, 1);
  assert.match(s.lines[0].msg, /cannot listen on 127\.0\.0\.1 port \d+/);
});

test('wrong settings are all reported at once, before anything starts', async (t) => {
  const s = await sidecar(t, {
    env: { CODEX_PROXY_PORT: '70000', CODEX_APP_SERVER_INSTANCES: 'many', CODEX_PROFILE: 'butler' },
  });
  const { code, stderr } = await s.cli('run');
  assert.equal(code, 78);
  for (const name of ['CODEX_PROXY_PORT', 'CODEX_APP_SERVER_INSTANCES', 'CODEX_PROFILE'])
    assert.match(stderr, new RegExp(name));
  assert.ok(!fs.existsSync(s.codexCalls));
});

test('a missing codex is named, with exit code 78', async (t) => {
  const s = await sidecar(t, { env: { CODEX_BIN: '/nowhere/codex' } });
  const { code, stderr } = await s.cli('run');
  assert.equal(code, 78);
  assert.match(stderr, /CODEX_BIN.*\/nowhere\/codex/);
});

test('a file in the place of the control socket, or of the one to listen on, stops the start: exit code 78', async (t) => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sidecar-')), 'file');
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }));
  fs.writeFileSync(file, '');
  for (const name of ['CODEX_CONTROL_SOCKET', 'CODEX_PROXY_LISTEN_UNIX']) {
    const s = await sidecar(t, { env: { [name]: file } });
    s.start();
    assert.equal((await s.exited).code, 78, name);
    assert.match(s.lines.at(-1).msg, /\/file: exists,? and is no socket/);
  }
});

test('SIGTERM: the proxy drains and goes, then the app-servers, then all is gone', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } })).start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const from = s.mark;
  const { code } = await s.stop();
  assert.equal(code, 0);
  const told = s.lines.slice(from);
  const index = (what) => {
    const i = told.findIndex(what);
    assert.ok(i >= 0, `${what} in\n${told.map((l) => l.text).join('\n')}`);
    return i;
  };
  const drained = index((l) => /STANDIN .*"drain"/.test(l.msg));
  const termed = index((l) => /STANDIN .*"SIGTERM"/.test(l.msg));
  const proxyGone = index((l) => l.app === 'proxy' && l.to === 'stopped');
  const first = index((l) => l.app === 'app-server-0' && l.to === 'stopping');
  const second = index((l) => l.app === 'app-server-1' && l.to === 'stopping');
  const gone = index((l) => l.app === 'app-server-0' && l.to === 'stopped');
  assert.ok(drained < termed && termed < proxyGone && proxyGone < first);
  assert.ok(second < gone, 'the app-servers stop together');
  assert.deepEqual(descendantsOf(s.pid), []);
  assert.ok(!fs.existsSync(path.join(s.runtime, 'control.sock')));
});

test('a second SIGTERM skips the drain, and what ignores SIGTERM is killed', async (t) => {
  const s = await sidecar(t, {
    proxy: { neverDrains: true, ignoresTerm: true },
    codex: { ignoresTerm: true },
  });
  s.start();
  await s.ready();
  const from = s.mark;
  const begin = Date.now();
  s.process.kill('SIGTERM');
  await s.line((l) => /STANDIN .*"drain"/.test(l.msg), 'the drain', from);
  s.process.kill('SIGTERM');
  const { code } = await s.exited;
  assert.equal(code, 0);
  assert.ok(Date.now() - begin < 10000);
});

test('while it stops, callers are refused rather than left waiting', async (t) => {
  const s = (await sidecar(t, { proxy: { neverDrains: true, ignoresTerm: true } })).start();
  await s.ready();
  const { pid } = await s.app('proxy');
  s.process.kill('SIGTERM');
  await s.became('proxy', 'stopping');
  process.kill(pid, 'SIGKILL');
  await s.became('proxy', 'stopped');
  await assert.rejects(get(s.port), { code: 'ECONNREFUSED' });
  await s.exited;
});

test('an app-server that cannot start: backoff with the reason it gave, and no flood', async (t) => {
  const s = await sidecar(t, { codex: { exit: 1, says: 'Error: this is why' } });
  s.start();
  await s.line((l) => /STANDIN .*backend\/down/.test(l.msg), 'backend/down');
  const again = await s.line((l) => l.app === 'app-server-0' && /again in \d+ ms/.test(l.msg), 'a delay');
  assert.match(again.msg, /exited with code 1: Error: this is why/);
  const app = await until(async () => {
    const a = await s.app('app-server-0');
    return a.state === 'backoff' && a;
  }, 'backoff in status');
  assert.deepEqual(app.last_exit, { code: 1, signal: null, reason: 'exited with code 1: Error: this is why' });
  assert.ok(app.next_retry_ms >= 0);
  const downs = s.proxySaid.map((said) => said.heard).filter((m) => m?.method === 'backend/down');
  assert.ok(downs.some((m) => m.params.next_retry_ms >= 250), 'the proxy knows when the next try is');
  assert.equal((await s.cli('status', '--exit-code')).code, 1);
});

test('restart by hand is planned: drained, counted as no failure, ready again when it answers', async (t) => {
  const s = (await sidecar(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } })).start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const before = (await s.status()).apps;
  assert.equal((await s.cli('restart', 'app-server')).code, 0);
  const after = (await s.status()).apps;
  for (const i of [0, 1]) {
    assert.equal(after[i].state, 'ready');
    assert.notEqual(after[i].pid, before[i].pid);
  }
  assert.equal(after[2].pid, before[2].pid);
  const unknown = await s.cli('restart', 'nobody');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /no such app/);
});

test('shutdown over the control socket; then nobody answers, and the places tried are named', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  assert.equal((await s.cli('shutdown')).code, 0);
  assert.equal((await s.exited).code, 0);
  const { code, stderr } = await s.cli('status');
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(path.join(s.runtime, 'control.sock')));
});

test('the control socket answers mistakes as documented', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  const codeOf = async (method, params) => (await s.ask(method, params)).error?.code;
  assert.equal(await codeOf('no/such'), -32601);
  assert.equal(await codeOf('status', { verbose: true }), -32602);
  assert.equal(await codeOf('restart'), -32602);
  assert.equal(await codeOf('restart', { app: 'proxy', wait: 'yes' }), -32602);
  assert.equal(await codeOf('restart', { app: 'nobody' }), -32002);
  assert.equal(await codeOf('proxy/hello', { protocol: 1, pid: 1, generation: 1 }), -32001);
  const { result } = await s.ask('version');
  assert.equal(result.protocol, 1);
});

test('the proxy gets its settings, its generation and the listening socket', async (t) => {
  const s = await sidecar(t, { env: { CODEX_MAX_CONCURRENT: '7', CODEX_APP_SERVER_URL: 'ws://127.0.0.1:1' } });
  s.start();
  await s.ready();
  const { pid } = await s.app('proxy');
  const env = s.proxySaid.find((said) => said.environment).environment;
  assert.equal(env.CODEX_PROXY_API_KEY, 'sk-test-of-the-supervisor');
  assert.equal(env.CODEX_MAX_CONCURRENT, '7');
  assert.equal(env.CODEX_APP_SERVER_URL, undefined);
  assert.equal(env.CODEX_PROXY_GENERATION, '1');
  assert.equal(env.LISTEN_FDS, '1');
  assert.equal(env.LISTEN_PID, String(pid));
  assert.equal(env.LISTEN_FDNAMES, 'http');
  assert.equal(env.CODEX_WORKSPACE, path.join(fs.realpathSync(s.state), 'work'));
  assert.equal(env.UPSTREAM_KEY, undefined);
});

test("systemd's socket: a proxy that fails is answered for by a 503, until it is there", async (t) => {
  const s = await sidecar(t, { proxy: { exit: 1 } });
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const under = ['bash', '-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"'];
  s.start({ under, fds: [server._handle.fd] });
  server.close(); // the supervisor has it
  await s.line((l) => /answered 503$/.test(l.msg), 'the stand-in');
  const answers = await Promise.all(Array.from({ length: 100 }, () =>
    fetch(`http://127.0.0.1:${port}/v1/responses`, { method: 'POST', body: 'x'.repeat(100000) })));
  for (const answer of answers) {
    const { error } = await answer.json();
    assert.deepEqual([answer.status, answer.headers.get('retry-after'), error.code], [503, '5', 'backend_unavailable']);
  }
  // one that has sent its whole body before it looks for an answer finds one
  const late = net.connect(port, '127.0.0.1');
  late.pause();
  late.write(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${8 << 20}\r\n\r\n`);
  await withDeadline(new Promise((resolve, reject) => {
    late.on('error', reject);
    late.write(Buffer.alloc(8 << 20), resolve);
  }), 'the body to be taken');
  late.resume();
  assert.match(String((await withDeadline(once(late, 'data'), 'the answer'))[0]), /^HTTP\/1.1 503 /);
  late.destroy();
  s.standIn('codex-proxy', 'proxy.mjs', {});
  assert.deepEqual((await s.ask('start', { app: 'proxy' })).result, {});
  assert.match(await get(port), /^served by/);
  assert.deepEqual((await s.ask('stop', { app: 'proxy' })).result, {});
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503);
  await s.stop();
});

test('a proxy that was stopped by hand refuses its callers, and is there again after start', async (t) => {
  const s = (await sidecar(t)).start();
  await s.ready();
  assert.deepEqual((await s.ask('stop', { app: 'proxy' })).result, {});
  await assert.rejects(get(s.port), { code: 'ECONNREFUSED' });
  assert.deepEqual((await s.ask('start', { app: 'proxy' })).result, {});
  assert.match(await get(s.port), /^served by/);
});

test('a proxy that only starts by hand refuses its callers until then', async (t) => {
  const apps = [{ name: 'back', script: 'codex', args: 'app-server' }, { name: 'front', script: 'codex-proxy', autostart: false }];
  const s = (await sidecar(t, { apps })).start();
  await s.ready();
  await assert.rejects(get(s.port), { code: 'ECONNREFUSED' });
  assert.deepEqual((await s.ask('start', { app: 'front' })).result, {});
  assert.match(await get(s.port), /^served by/);
});

test('as PID 1 of a container it reaps strangers, serves, and stops on SIGTERM', async (t) => {
  const probe = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']);
  if (probe.status !== 0) return t.skip('no right to make a pid namespace here');
  const s = await sidecar(t, { codex: { orphan: true } });
  s.start({ under: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] });
  await s.ready();
  const status = await s.status();
  assert.equal(status.pid, 1);
  const from = s.mark;
  const inner = Number(spawnSync('pgrep', ['-P', String(s.process.pid)], { encoding: 'utf8' }).stdout);
  process.kill(inner, 'SIGTERM');
  assert.equal((await s.exited).code, 0);
  assert.ok(s.lines.slice(from).some((l) => l.app === 'proxy' && l.to === 'stopped'));
});
