// codex-proxy alone: limits, slow readers, and the end.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { API_KEY, ask, assertError, assertWellFormed, chat, post, chatBody, stream } from './http_kit.mjs';
import { lone, noThreadIsLoaded } from './pair_kit.mjs';
import { buildDir, until, withDeadline } from './supervisor_kit.mjs';

// A sanitizer keeps what is freed for a while.
const isSanitized = path.basename(buildDir) === 'san';
const smallQuarantine = `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1`;

test('numbers leave the proxy equal, and never longer than they came', async (t) => {
  const f = await lone(t);
  const numbers = ['0.1', '1.1', '3.14', '1e-7', '1E5', '1e21', '0.30000000000000004', '9007199254740993',
    '9223372036854775807', '-9223372036854775808', '0', '-0.0', '-0.5', '100', '1.0', '1.5', '2.5e-10',
    '123456789.123456789', '1e300', '5e-324', '0.000001'];
  const body = `{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":
    {"name":"f","parameters":{"enum":[${numbers.join(',')}]}}}]}`;
  assert.equal((await post(f.port, body)).status, 200);
  const { text } = await f.fake.heard('thread/start');
  const arrived = /"enum":\[([^\]]*)\]/.exec(text)[1].split(',');
  assert.equal(arrived.length, numbers.length);
  arrived.forEach((number, i) => {
    assert.ok(Object.is(Number(number), Number(numbers[i])), `${numbers[i]} became ${number}`);
    if (/^-?\d+$/.test(numbers[i])) assert.equal(BigInt(number), BigInt(numbers[i]));
    assert.ok(number.length <= numbers[i].length, `${numbers[i]} became ${number}`);
  });
});

test('the queue: one runs, one waits, the next gets 503; a wait has its limit', async (t) => {
  const f = await lone(t, {
    env: { CODEX_MAX_CONCURRENT: '1', CODEX_MAX_QUEUE_DEPTH: '1', CODEX_QUEUE_TIMEOUT_MS: '400' },
  });
  const running = stream(f.port, '!part busy\n!silence');
  await running.text('busy');
  const waiting = chat(f.port, 'waits');
  await until(async () => (await f.proxy.readyz()).json.queued === 1, 'one to wait');
  const full = await chat(f.port, 'one too many');
  assertError(full, 503, { type: 'server_error', code: 'queue_full' });
  assert.equal(full.headers['retry-after'], '5');
  const late = await waiting;
  assertError(late, 503, { type: 'server_error', code: 'queue_timeout' });
  assert.equal(late.headers['retry-after'], '10');
  const s = stream(f.port, 'waits too');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.status, 503);
  running.abort();
  assert.equal((await chat(f.port, '!say 1 0 my turn')).status, 200);
});

test('an answer longer than allowed: an error, no more text, the turn interrupted', async (t) => {
  const f = await lone(t, { env: { CODEX_MAX_RESPONSE_SIZE: '4096' } });
  const s = stream(f.port, '!say 100 1 0123456789012345678901234567890123456789012345678901234567890123456789');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.error.code, 'response_too_large');
  assert.ok(s.content.length <= 4096 && s.content.length > 3900, String(s.content.length));
  assert.equal(s.chunks.at(-1).error, s.error, 'nothing follows the error');
  await f.fake.heard('turn/interrupt');
  assertError(await chat(f.port, '!flood 5000'), 502, { type: 'server_error', code: 'response_too_large' });
  assert.equal((await chat(f.port, '!flood 2000')).status, 200);
});

test('a request larger than allowed: 413, by its length or as it comes', async (t) => {
  const f = await lone(t, { env: { CODEX_MAX_REQUEST_SIZE: '4096' } });
  const body = chatBody('x'.repeat(5000));
  assertError(await post(f.port, body), 413, { type: 'invalid_request_error', code: 'request_too_large' });
  const chunked = await post(f.port, body, { headers: { 'transfer-encoding': 'chunked' } })
    .catch((error) => error);
  if (!(chunked instanceof Error)) assert.equal(chunked.status, 413);
  assert.equal((await chat(f.port, 'x'.repeat(3000))).status, 200);
  await f.fake.heard('thread/unsubscribe');
  assert.equal(f.fake.count('thread/start'), 1);
});

test('the rate: as many at once as a minute allows, then 429 with the time to wait', async (t) => {
  const f = await lone(t, { env: { CODEX_PROXY_RATE_LIMIT: '3' } });
  for (let left = 2; left >= 0; left--) {
    const { status, headers } = await chat(f.port, '!say 1 0 ok');
    assert.equal(status, 200);
    assert.equal(headers['x-ratelimit-limit-requests'], '3');
    assert.equal(headers['x-ratelimit-remaining-requests'], String(left));
  }
  const refused = await chat(f.port, 'one too many');
  assertError(refused, 429, { type: 'rate_limit_error', code: 'rate_limit_exceeded' });
  const wait = Number(refused.headers['retry-after']);
  assert.ok(wait > 0 && wait <= 20, String(wait));
  assert.equal((await f.proxy.readyz()).status, 200, 'probes are not limited');
  assert.equal((await post(f.port, '{}', { key: 'sk-wrong' })).status, 401, 'nor are strangers counted');
  await f.fake.heard('thread/unsubscribe', 0, () => f.fake.count('thread/unsubscribe') === 3);
  assert.equal(f.fake.count('thread/start'), 3);
});

test('2000 requests leave nothing behind: no memory, no file, no thread', async (t) => {
  const f = await lone(t, { env: { CODEX_LOG_LEVEL: 'warning', ASAN_OPTIONS: smallQuarantine } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  const kinds = [
    async () => assert.equal((await post(f.port, chatBody('!say 5 0 t'), { agent })).status, 200),
    async () => assert.equal(await stream(f.port, '!say 5 0 t', {}, { agent }).end(), 'whole'),
    async () => assert.equal((await post(f.port, chatBody('!tool f {}'), { agent })).status, 200),
    async () => assert.equal((await post(f.port, '{"messages":[]}', { agent })).status, 400),
    async () => assert.equal((await post(f.port, chatBody('!fail "other" no'), { agent })).status, 400),
  ];
  const run = (n) => Promise.all([0, 1, 2, 3].map(async (w) => {
    for (let i = w; i < n; i += 4) await kinds[i % kinds.length]();
  }));
  const files = () => fs.readdirSync(`/proc/${f.proxy.pid}/fd`).length;
  await run(500);
  const before = { rss: f.proxy.rssKb, files: files() };
  await run(2000);
  assert.ok(f.proxy.rssKb - before.rss < 1000, `grew by ${f.proxy.rssKb - before.rss} KB`);
  // an exchange lets go of its file a moment after its last byte has left
  await until(() => files() <= before.files, `no more than ${before.files} files`);
  await noThreadIsLoaded(f.fake.url);
});

test('the memory that many streams needed is given back when they are over', { skip: isSanitized }, async (t) => {
  const f = await lone(t, { env: { CODEX_LOG_LEVEL: 'warning', CODEX_MAX_CONCURRENT: '500', CODEX_PROXY_RATE_LIMIT: '0' } });
  await chat(f.port, '!say 5 0 t');
  const before = f.proxy.rssKb;
  let peak = before;
  const streams = Array.from({ length: 400 }, () => stream(f.port, '!say 3 300 t'));
  const watch = setInterval(() => (peak = Math.max(peak, f.proxy.rssKb)), 20);
  t.after(() => clearInterval(watch));
  for (const s of streams) assert.equal(await s.end(), 'whole');
  clearInterval(watch);
  assert.ok(peak - before > 3000, `grew by ${peak - before} KB only: nothing to give back`);
  await until(() => f.proxy.rssKb - before < 1500, `less than 1500 KB more than before, of ${peak - before}`);
});

// Reads nothing until go() is called.
function stalledStream(port, content, headers = {}) {
  let go;
  const until = new Promise((resolve) => (go = resolve));
  return Object.assign(stream(port, content, {}, { headers, until }), { go });
}

test('a reader that stops reading is cut off, and the proxy does not grow', async (t) => {
  const f = await lone(t, { env: { CODEX_MAX_RESPONSE_SIZE: '100000000', ASAN_OPTIONS: smallQuarantine } });
  await chat(f.port, '!flood 10000'); // warm
  const before = f.proxy.rssKb;
  const stalled = [0, 1, 2].map((i) => stalledStream(f.port, '!flood 100000', { 'x-request-id': `stalled-${i}` }));
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, f.proxy.rssKb)), 5);
  t.after(() => clearInterval(watch));
  for (const i of [0, 1, 2]) assert.equal((await f.proxy.over(`stalled-${i}`)).outcome, 'cancelled');
  clearInterval(watch);
  assert.ok(peak - before < 20000, `grew by ${peak - before} KB`); // of 80 MB that were to be sent
  assert.equal((await f.proxy.readyz()).json.in_flight, 0);
  for (const s of stalled) {
    s.go();
    assert.equal(await s.end(), 'cut');
  }
  assert.equal((await chat(f.port, '!say 1 0 well')).status, 200);
});

test('a slow reader gets everything, and keeps nobody waiting', async (t) => {
  const f = await lone(t);
  const slow = stalledStream(f.port, '!flood 3000');
  await slow.opened;
  for (let i = 0; i < 20; i++) assert.equal((await chat(f.port, '!say 1 0 quick')).status, 200);
  slow.go();
  assert.equal(await slow.end(), 'whole');
  assert.equal(assertWellFormed(slow.chunks), 'x '.repeat(3000));
});

test('SIGTERM: running streams are finished, new callers are refused, then it ends with 0', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!say 20 30 t');
  const whole = chat(f.port, '!wait 400\n!say 1 0 whole');
  await s.text('t0 ');
  await f.fake.heard('turn/start', 0, () => f.fake.count('turn/start') === 2);
  f.proxy.process.kill('SIGTERM');
  await until(
    () => ask(f.port, { path: '/healthz' }).then(() => false, (error) => error.code === 'ECONNREFUSED'),
    'the port to be closed',
  );
  assert.ok(f.proxy.running, 'while the streams run');
  assert.equal(await s.end(), 'whole');
  assert.match(assertWellFormed(s.chunks), /^t0 .*t19 $/);
  assert.equal((await whole).json.choices[0].message.content, 'whole');
  assert.deepEqual(await withDeadline(f.proxy.exited, 'the end'), { code: 0, signal: null });
});

test('SIGTERM with a turn that never ends: an error at the deadline of the drain', async (t) => {
  const f = await lone(t, { env: { CODEX_DRAIN_TIMEOUT_MS: '300' } });
  const s = stream(f.port, '!part some\n!silence');
  const whole = chat(f.port, '!silence');
  await s.text('some');
  await f.fake.heard('turn/start', 0, () => f.fake.count('turn/start') === 2);
  const begin = Date.now();
  f.proxy.process.kill('SIGTERM');
  assert.equal(await s.end(), 'whole');
  assert.deepEqual([s.content, s.error.code], ['some', 'shutting_down']);
  assertError(await whole, 503, { type: 'server_error', code: 'shutting_down' });
  assert.deepEqual(await withDeadline(f.proxy.exited, 'the end'), { code: 0, signal: null });
  assert.ok(Date.now() - begin < 5000);
  await f.fake.heard('turn/interrupt');
});

test('SIGTERM while a body is still coming: the request is served', async (t) => {
  const f = await lone(t);
  const body = chatBody('!say 1 0 in time');
  const socket = net.connect(f.port, '127.0.0.1');
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body.slice(0, 5)}`);
  await until(async () => /^codex_sidecar_requests_in_work 2$/m.test((await ask(f.port, { path: '/metrics', key: null })).text), 'the head to be read');
  f.proxy.process.kill('SIGTERM');
  await f.proxy.line((l) => /SIGTERM: draining/.test(l.msg), 'the drain');
  socket.write(body.slice(5));
  let all = '';
  for await (const chunk of socket) all += chunk;
  assert.match(all, /^HTTP\/1\.1 200 /);
  assert.match(all, /in time/);
  assert.deepEqual(await withDeadline(f.proxy.exited, 'the end'), { code: 0, signal: null });
});

test('a client that pipelines gets its own answers, in order, or the connection closed before one', async (t) => {
  const f = await lone(t);
  const request = (text) => {
    const body = chatBody(`!say 1 0 ${text}`);
    return `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  };
  const socket = net.connect(f.port, '127.0.0.1');
  let all = '';
  const over = new Promise((resolve) => {
    socket.on('data', (data) => {
      all += data;
      if (all.includes('"content":"second"')) resolve();
    });
    socket.on('close', resolve);
  });
  socket.write(request('first') + request('second'));
  await withDeadline(over, 'two answers or a close');
  socket.destroy();
  assert.match(all, /^HTTP\/1.1 200 [^]*"content":"first"[^]*"total_tokens":15/);
  const rest = all.slice(all.indexOf('"total_tokens":15')).split('HTTP/1.1 ').slice(1);
  assert.ok(rest.length === 0 || (rest.length === 1 && /^200 [^]*"content":"second"/.test(rest[0])), all);
  assert.equal((await f.proxy.readyz()).json.in_flight, 0);
  assert.equal((await chat(f.port, '!say 1 0 well')).status, 200);
});

test('a connection is kept for the next request, after a stream too', async (t) => {
  const f = await lone(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ports = new Set();
  for (let i = 0; i < 3; i++) {
    const s = stream(f.port, '!say 3 0 t', {}, { agent });
    assert.equal(await s.end(), 'whole');
    ports.add(s.request.socket.localPort);
    assertError(await post(f.port, '{', { agent }), 400, { type: 'invalid_request_error', code: 'invalid_json' });
  }
  assert.equal(ports.size, 1);
});

test('of 400 files, nearly all can be connections; another caller waits until one is free', async (t) => {
  const f = await lone(t, { under: ['prlimit', '--nofile=400:400'] });
  const sockets = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const idle = () => {
    const socket = net.connect(f.port, '127.0.0.1');
    sockets.push(socket);
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    return once(socket, 'data').then(([data]) => assert.match(String(data), /^HTTP\/1.1 200 /));
  };
  await withDeadline(Promise.all(Array.from({ length: 300 }, idle)), '300 answers');
  for (let i = 0; i < 100; i++) idle().catch(() => {});
  await f.proxy.line((l) => /connections: the next wait/.test(l.msg ?? ''), 'the limit');
  for (const socket of sockets.splice(0, 300)) socket.destroy();
  assert.equal((await chat(f.port, '!say 1 0 well')).status, 200);
});
