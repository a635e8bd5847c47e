// codex-healthcheck from outside: exit codes and lines, against whatever may answer, or not.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { runToEnd } from './program.mjs';
import { buildDir } from './supervisor_kit.mjs';

const program = path.join(buildDir, 'codex-healthcheck');

const run = (args, env = {}) =>
  runToEnd(program, args, { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', ...env });

// A server on a free port of the loopback, or on a unix socket.
async function listen(t, server, where = { port: 0, host: '127.0.0.1' }) {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // the probe went away
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(where);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return where.path ?? server.address().port;
}

const answering = (status, body, headers = {}) =>
  http.createServer((request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  });

const wellServer = () =>
  http.createServer((request, response) => {
    response.statusCode = ['/healthz', '/readyz'].includes(request.url) ? 200 : 404;
    response.end('{"status":"ok"}');
  });

test('well: exit code 0 and one word, or nothing with --quiet', async (t) => {
  const port = await listen(t, wellServer());
  const url = `http://127.0.0.1:${port}`;
  assert.deepEqual(await run(['live', '--url', url]), { code: 0, stdout: 'alive\n', stderr: '' });
  assert.deepEqual(await run(['ready', '--url', `${url}/`]), { code: 0, stdout: 'ready\n', stderr: '' });
  assert.deepEqual(await run(['--quiet', 'ready', '--url', url]), { code: 0, stdout: '', stderr: '' });
});

test('it asks where the settings say', async (t) => {
  const port = String(await listen(t, wellServer()));
  for (const host of [undefined, '127.0.0.1', 'localhost', '0.0.0.0']) {
    const env = { CODEX_PROXY_PORT: port, ...(host && { CODEX_PROXY_HOST: host }) };
    assert.equal((await run(['ready'], env)).code, 0, host);
  }
});

test('a proxy on a unix socket', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'healthcheck-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const socket = await listen(t, wellServer(), { path: path.join(dir, 'http.sock') });
  assert.equal((await run(['ready', '--unix', socket])).code, 0);
  assert.equal((await run(['live', '--unix', socket])).code, 0);
  assert.equal((await run(['ready'], { CODEX_PROXY_LISTEN_UNIX: socket })).code, 0);
  const { code, stderr } = await run(['live', '--unix', path.join(dir, 'none.sock')]);
  assert.equal(code, 2);
  assert.match(stderr, /none\.sock: cannot connect: No such file or directory\n$/);
});

test('not ready: exit code 1, and the reasons in one line', async (t) => {
  const body = JSON.stringify({ status: 'not_ready', reasons: ['no app-server is connected', 'a\nb'] });
  const port = await listen(t, answering(503, body));
  assert.deepEqual(await run(['ready', '--quiet', '--url', `http://127.0.0.1:${port}`]), {
    code: 1,
    stdout: '',
    stderr: 'codex-healthcheck: not ready: no app-server is connected; a b\n',
  });
});

test('any other answer is not well either, and no redirect is followed', async (t) => {
  let followed = false;
  const well = await listen(t, http.createServer((request, response) => {
    followed = true;
    response.end();
  }));
  const elsewhere = { location: `http://127.0.0.1:${well}/readyz` };
  for (const [status, headers] of [[302, elsewhere], [404, {}], [204, {}], [500, {}]]) {
    const port = await listen(t, answering(status, '', headers));
    const { code, stderr } = await run(['ready', '--url', `http://127.0.0.1:${port}`]);
    assert.equal(code, 1, String(status));
    assert.match(stderr, new RegExp(`^codex-healthcheck: not ready: .*\\b${status}\\n$`));
  }
  assert.equal(followed, false);
});

test('a body without end is not read to its end', async (t) => {
  const server = http.createServer((request, response) => {
    response.statusCode = 503;
    const more = () => {
      while (response.write('x'.repeat(65536)));
    };
    response.on('drain', more);
    more();
  });
  const port = await listen(t, server);
  const begin = Date.now();
  const { code } = await run(['ready', '--timeout', '10', '--url', `http://127.0.0.1:${port}`]);
  assert.equal(code, 1);
  assert.ok(Date.now() - begin < 5000);
});

test('a closed port is exit code 2', async (t) => {
  const server = net.createServer();
  const port = await listen(t, server);
  server.close();
  await once(server, 'close');
  const { code, stderr } = await run(['live', '--url', `http://127.0.0.1:${port}`]);
  assert.equal(code, 2);
  assert.match(stderr, /^codex-healthcheck: http:\/\/127.0.0.1:\d+\/healthz: cannot connect: Connection refused\n$/);
});

test('a server that says nothing, or not all, is exit code 2 after the timeout', async (t) => {
  for (const bytes of ['', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf']) {
    const port = await listen(t, net.createServer((socket) => socket.write(bytes)));
    const begin = Date.now();
    const { code, stderr } = await run(['ready', '--timeout', '0.2', '--url', `http://127.0.0.1:${port}`]);
    assert.equal(code, 2, bytes);
    assert.match(stderr, /no answer within 0\.2 s\n$/);
    assert.ok(Date.now() - begin >= 200);
  }
});

test('what is not HTTP is exit code 2', async (t) => {
  const garbage = ['SSH-2.0-OpenSSH_9.2\r\n', '\0\0\0\x01\xff', 'HTTP/0.9 hello\n', ''];
  for (const bytes of garbage) {
    const port = await listen(t, net.createServer((socket) => socket.end(bytes, 'latin1')));
    const { code, stderr } = await run(['ready', '--url', `http://127.0.0.1:${port}`]);
    assert.equal(code, 2, JSON.stringify(bytes));
    assert.match(stderr, /^codex-healthcheck: .+\n$/);
    assert.equal(stderr.split('\n').length, 2);
  }
});

test('the proxies of the environment are not used', async (t) => {
  const port = await listen(t, wellServer());
  const dead = 'http://127.0.0.1:9';
  const env = { http_proxy: dead, HTTP_PROXY: dead, ALL_PROXY: dead, all_proxy: dead, no_proxy: '' };
  assert.equal((await run(['live', '--url', `http://127.0.0.1:${port}`], env)).code, 0);
});

test('wrong usage is 64, a wrong setting 78, each with its name', async () => {
  const wrong = [
    [], ['alive'], ['live', 'ready'], ['live', '--nope'], ['live', '--url'], ['live', '--url', 'ftp://h'],
    ['live', '--timeout', 'soon'], ['live', '--timeout', '0'], ['live', '--timeout', 'nan'],
    ['live', '--url', 'http://h', '--unix', '/s'],
    ['live', '--url', 'http://h', '--socket', '/s'], ['status', '--url', 'http://h'], ['auth', '--unix', '/s'],
    ['live', '--alert'], ['auth', '--warn-hours', '-1'], ['auth', '--repeat-hours', 'x'], ['auth', '--format', 'irc'],
    ['live', '--unix', `/${'x'.repeat(200)}`],
  ];
  for (const args of wrong) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 64, args.join(' '));
    assert.equal(stdout, '');
    assert.notEqual(stderr, '');
  }
  const { code, stderr } = await run(['ready'], { CODEX_PROXY_PORT: '99999' });
  assert.equal(code, 78);
  assert.match(stderr, /CODEX_PROXY_PORT/);
});

test('--help and --version', async () => {
  const help = await run(['--help']);
  assert.equal(help.code, 0);
  for (const word of ['live', 'ready', 'startup', 'status', 'auth', '--url', '--timeout', '--json', 'Exit codes'])
    assert.ok(help.stdout.includes(word), word);
  assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});
