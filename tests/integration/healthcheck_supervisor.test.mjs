// codex-healthcheck asks the supervisor: what is alive, started, ready; and how fast it is.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { buildDir, sidecar } from './supervisor_kit.mjs';
import { onLines, runToEnd } from './program.mjs';

const program = path.join(buildDir, 'codex-healthcheck');

const run = (args, env = {}) =>
  runToEnd(program, args, { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', ...env });

function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'healthcheck-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// A control socket that answers each question with what `answers` has for its method.
async function supervisor(t, answers) {
  const socket = path.join(folder(t), 'control.sock');
  const asked = [];
  const server = net.createServer((connection) => {
    connection.on('error', () => {}); // the check went away
    onLines(connection, (line) => {
      const { id, method } = JSON.parse(line);
      asked.push(method);
      if (answers[method]) connection.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answers[method] })}\n`);
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  t.after(() => server.close());
  return { socket, asked };
}

const app = (name, state, reason) => ({ name, state, reason });
const status = (more) => ({
  result: {
    version: '0.1.0',
    state: 'running',
    ready: true,
    apps: [app('app-server-0', 'ready', 'started'), app('proxy', 'ready', 'started')],
    proxy: { in_flight: 2, queued: 1, threads: 3 },
    auth: { state: 'valid', expires_at: 1795687200 },
    warnings: [],
    ...more,
  },
});

test('a supervisor whose codex cannot start is alive, and neither started nor well', async (t) => {
  const s = await sidecar(t, { codex: { exit: 1, says: 'Error: no such luck' } });
  s.start();
  await s.became('app-server-0', 'backoff');
  const env = { CODEX_RUNTIME_DIR: s.runtime };
  assert.deepEqual(await run(['live'], env), { code: 0, stdout: 'alive\n', stderr: '' });
  const startup = await run(['startup'], env);
  assert.equal(startup.code, 1);
  assert.match(startup.stderr, /^codex-healthcheck: not started yet: app-server-0 \w+ \(.*no such luck.*\), proxy ready\n$/);
  const state = await run(['status', '--json'], env);
  assert.equal(state.code, 1);
  const told = JSON.parse(state.stdout);
  assert.deepEqual([told.check, told.ok, told.code], ['status', false, 1]);
  assert.equal(told.status.apps[0].name, 'app-server-0');
});

test('started once is started, though its codex is gone', async (t) => {
  const s = await sidecar(t);
  const env = { CODEX_CONTROL_SOCKET: path.join(s.runtime, 'control.sock') };
  s.start();
  await s.ready();
  for (const [check, says] of [['live', 'alive'], ['startup', 'started']])
    assert.deepEqual(await run([check], env), { code: 0, stdout: `${says}\n`, stderr: '' });
  const well = await run(['status'], env);
  assert.equal(well.code, 0, well.stderr);
  assert.match(well.stdout, /^ready: app-server-0 ready, proxy ready; requests: \d+ running, \d+ queued\n/);
  await s.ask('stop', { app: 'app-server-0' });
  assert.equal((await run(['startup'], env)).code, 0);
  assert.equal((await run(['status'], env)).code, 1);
  await s.stop();
  const gone = await run(['live'], env);
  assert.equal(gone.code, 2);
  assert.match(gone.stderr, /^codex-healthcheck: no supervisor answers: \S*\/control\.sock: No such file or directory\n$/);
});

test('a supervisor that hangs is exit code 2 after the timeout', async (t) => {
  const s = await sidecar(t);
  s.start();
  await s.ready();
  s.process.kill('SIGSTOP');
  try {
    for (const check of ['live', 'startup', 'status']) {
      const { code, stderr } = await run([check, '--timeout', '0.2', '--socket', path.join(s.runtime, 'control.sock')]);
      assert.equal(code, 2);
      assert.match(stderr, /^codex-healthcheck: no supervisor answers: .*control\.sock: /);
    }
  } finally {
    s.process.kill('SIGCONT');
  }
  await s.stop();
});

test('live asks for no more than a sign of life, and no proxy', async (t) => {
  const { socket, asked } = await supervisor(t, { version: { result: { version: '0.1.0' } } });
  // a proxy that is not well, and where it would be asked
  assert.equal((await run(['live', '--socket', socket], { CODEX_PROXY_PORT: '9' })).code, 0);
  assert.deepEqual(asked, ['version']);
});

test('a supervisor that refuses, or talks nonsense, is not well or unknown', async (t) => {
  const refusing = await supervisor(t, { version: { error: { code: -32001, message: 'not\nyou' } } });
  const { code, stderr } = await run(['live', '--socket', refusing.socket]);
  assert.equal(code, 1);
  assert.equal(stderr, 'codex-healthcheck: the supervisor refuses to answer: not you\n');
  const odd = await supervisor(t, { status: { result: {} } });
  assert.equal((await run(['startup', '--socket', odd.socket])).code, 1);
  assert.equal((await run(['status', '--socket', odd.socket])).code, 1);
});

test('status: 3 and the warnings when the login expires soon', async (t) => {
  for (const [state, code] of [['valid', 0], ['api_key', 0], ['unknown', 0], ['expiring', 3], ['expired', 3]]) {
    const warnings = ['the login \x1b[31mexpires'];
    const s = await supervisor(t, { status: status({ auth: { state, expires_at: 7 }, warnings }) });
    const answer = await run(['status', '--socket', s.socket]);
    assert.equal(answer.code, code, state);
    const text = answer.stdout + answer.stderr;
    assert.match(text, /ready: app-server-0 ready, proxy ready; requests: 2 running, 1 queued\nwarning: the login \\u001[bB]\[31mexpires\n$/);
  }
});

test('every check speaks JSON too', async (t) => {
  const s = await supervisor(t, { version: { result: {} }, status: status() });
  for (const check of ['live', 'startup', 'status']) {
    const { code, stdout, stderr } = await run([check, '--json', '--quiet', '--socket', s.socket]);
    assert.deepEqual([code, stderr], [0, '']);
    const told = JSON.parse(stdout);
    assert.deepEqual([told.check, told.ok, told.code], [check, true, 0]);
    assert.equal(typeof told.message, 'string');
  }
  const { code, stdout } = await run(['ready', '--json', '--url', 'http://127.0.0.1:9']);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(stdout), {
    check: 'ready',
    ok: false,
    code: 2,
    message: 'http://127.0.0.1:9/readyz: cannot connect: Connection refused',
  });
});

const openssl = { skip: spawnSync('openssl', ['version']).error ? 'needs the openssl program' : false };

test('HTTPS: by the settings any certificate will do; with --url it is verified', openssl, async (t) => {
  const dir = folder(t);
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(dir, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-subj', '/CN=example.com', '-addext', 'subjectAltName=DNS:localhost', '-days', '2', '-out', cert, '-keyout', key],
    { stdio: 'ignore' });
  const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (_, response) => response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address();
  assert.equal((await run(['ready'], { CODEX_PROXY_PORT: String(port), CODEX_PROXY_TLS_CERT: cert })).code, 0);
  const refused = await run(['ready', '--url', `https://127.0.0.1:${port}`]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /certificate/);
  assert.equal((await run(['ready', '--insecure', '--url', `https://127.0.0.1:${port}`])).code, 0);
  assert.equal((await run(['ready', '--ca', cert, '--url', `https://localhost:${port}`])).code, 0);
  assert.equal((await run(['ready', '--ca', cert, '--url', `https://127.0.0.1:${port}`])).code, 2); // another name
  assert.equal((await run(['ready', '--url', `http://127.0.0.1:${port}`])).code, 2);
});

// Started and waited for one after the other, as a probe is; the figures are printed.
test('it starts and answers within 10 ms, on a machine with nothing else to do', async (t) => {
  const s = await supervisor(t, { version: { result: {} }, status: status() });
  const limit = process.env.CI || (process.env.SIDECAR_BUILD ?? '').endsWith('/san') ? 500 : 100; // others are at work too
  const httpd = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
  });
  httpd.listen(0, '127.0.0.1');
  await once(httpd, 'listening');
  t.after(() => httpd.close());
  const checks = {
    live: ['live', '--socket', s.socket],
    status: ['status', '--socket', s.socket],
    auth: ['auth'],
    ready: ['ready', '--url', `http://127.0.0.1:${httpd.address().port}`],
  };
  const home = folder(t);
  fs.writeFileSync(path.join(home, 'auth.json'), '{"OPENAI_API_KEY":"sk-1"}');
  for (const [name, args] of Object.entries(checks)) {
    const times = [];
    for (let i = 0; i < 25; i++) {
      const begin = process.hrtime.bigint();
      const child = spawn(program, args, { env: { CODEX_HOME: home, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '' }, stdio: 'ignore' });
      const [code] = await once(child, 'exit');
      times.push(Number(process.hrtime.bigint() - begin) / 1e6);
      assert.equal(code, 0);
    }
    const median = times.sort((a, b) => a - b)[12];
    t.diagnostic(`${name}: median ${median.toFixed(1)} ms, fastest ${times[0].toFixed(1)} ms`);
    assert.ok(median < limit, `${name}: ${median} ms`);
  }
});

test('only what needs HTTP loads its library', async (t) => {
  const s = await supervisor(t, { version: { result: {} } });
  // LD_DEBUG=files: the loader tells on stderr what it loads
  const child = spawn(program, ['live', '--socket', s.socket], { env: { LD_DEBUG: 'files' }, stdio: ['ignore', 'ignore', 'pipe'] });
  let loaded = '';
  child.stderr.on('data', (data) => (loaded += data));
  assert.equal((await once(child, 'close'))[0], 0);
  assert.match(loaded, /libjansson/);
  assert.doesNotMatch(loaded, /libcurl|libssl/);
});
