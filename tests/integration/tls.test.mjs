// HTTPS: the same API, and a certificate that is read again when it changes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { test } from 'node:test';
import { API_KEY, ask, chatBody } from './http_kit.mjs';
import { LoneProxy, lone } from './pair_kit.mjs';
import { until, withDeadline } from './supervisor_kit.mjs';

const needsOpenssl = { skip: spawnSync('openssl', ['version']).error ? 'needs the openssl program' : false };

// A certificate for localhost, and its key.
function certify(dir, name) {
  const [cert, key] = ['crt', 'key'].map((end) => path.join(dir, `${name}.${end}`));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-out', cert, '-keyout', key],
  { stdio: 'ignore' });
  return { cert, key, ca: fs.readFileSync(cert) };
}

async function served(t, more = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tls-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const first = certify(dir, 'first');
  const used = { cert: path.join(dir, 'tls.crt'), key: path.join(dir, 'tls.key') };
  fs.copyFileSync(first.cert, used.cert);
  fs.copyFileSync(first.key, used.key);
  const f = await lone(t, { env: { CODEX_PROXY_TLS_CERT: used.cert, CODEX_PROXY_TLS_KEY: used.key, ...more } });
  return Object.assign(f, { first, used, folder: dir });
}

// {status, text, request}; text grows while a stream comes.
async function call(port, { ca, method = 'GET', path: where, body, agent = false }) {
  const headers = { authorization: `Bearer ${API_KEY}` };
  if (body !== undefined)
    Object.assign(headers, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  const request = https.request({ host: '127.0.0.1', port, method, path: where, headers, ca, agent });
  request.end(body);
  const [response] = await withDeadline(once(request, 'response'), 'an answer');
  const answer = { status: response.statusCode, headers: response.headers, text: '', request, response };
  response.setEncoding('utf8');
  response.on('data', (chunk) => (answer.text += chunk));
  response.on('error', () => {}); // told by ended
  answer.ended = new Promise((resolve) => response.on('close', () => resolve(response.complete)));
  return answer;
}

async function whole(port, options) {
  const answer = await call(port, options);
  assert.equal(await withDeadline(answer.ended, 'the end of an answer'), true);
  return answer;
}

const CHAT = { method: 'POST', path: '/v1/chat/completions' };
const figure = (page, name) => Number(new RegExp(`^codex_sidecar_${name} (.*)$`, 'm').exec(page)[1]);

// The name in the certificate that a new connection is shown.
async function shown(port) {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await withDeadline(once(socket, 'secureConnect'), 'a handshake');
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return name;
}

test('answers, streams, long bodies, kept connections and cancelling', needsOpenssl, async (t) => {
  const f = await served(t);
  const { ca } = f.first;
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (let i = 0; i < 20; i++) {
    assert.equal((await whole(f.port, { ca, agent, path: '/v1/models' })).status, 200);
    const answer = await whole(f.port, { ca, agent, ...CHAT, body: chatBody(`!say 3 0 t\n${'x'.repeat(20000 * i)}`) });
    assert.equal(answer.status, 200);
    assert.equal(JSON.parse(answer.text).choices[0].message.content, 't0 t1 t2 ');
  }
  const stream = await whole(f.port, { ca, agent, ...CHAT, body: chatBody('!say 2000 0 t', { stream: true }) });
  assert.match(stream.text, /data: \[DONE\]\n\n$/);
  const cut = await call(f.port, { ca, ...CHAT, body: chatBody('!part x\n!silence', { stream: true }) });
  await until(() => cut.text.includes('"x"'), 'the first word');
  cut.request.destroy();
  await f.fake.heard('turn/interrupt');
  agent.destroy();
  const cpu = async () => {
    const { text } = await whole(f.port, { ca, path: '/metrics' });
    return { cpu: figure(text, 'process_cpu_seconds_total'), connections: figure(text, 'connections') };
  };
  await until(async () => (await cpu()).connections === 1, 'the others to be closed');
  const open = await call(f.port, { ca, ...CHAT, body: chatBody('!part x\n!silence', { stream: true }) });
  await until(() => open.text.includes('"x"'), 'the first word');
  const before = await cpu();
  await setTimeout(500);
  assert.ok((await cpu()).cpu - before.cpu < 0.3, 'an open stream costs nothing');
  open.request.destroy();
});

test('HTTP/1.1 only, no plain HTTP, and what speaks neither is let go', needsOpenssl, async (t) => {
  const f = await served(t);
  const socket = tls.connect({ port: f.port, host: '127.0.0.1', ca: f.first.ca, ALPNProtocols: ['h2', 'http/1.1'] });
  await withDeadline(once(socket, 'secureConnect'), 'a handshake');
  assert.equal(socket.alpnProtocol, 'http/1.1');
  socket.destroy();
  await assert.rejects(ask(f.port, { path: '/healthz' }));
  const raw = net.connect(f.port, '127.0.0.1');
  raw.on('error', () => {}); // a reset will do
  const closed = new Promise((resolve) => raw.on('close', resolve));
  raw.write('\0\0\0 nonsense \r\n\r\n');
  raw.resume();
  await withDeadline(closed, 'the end of nonsense');
  assert.equal((await whole(f.port, { ca: f.first.ca, path: '/healthz' })).status, 200);
});

test('what is no TLS, and is there before the connection is taken, is let go too, and others are served', needsOpenssl, async (t) => {
  const f = await served(t);
  const before = fs.readdirSync(`/proc/${f.proxy.pid}/fd`).length;
  f.proxy.process.kill('SIGSTOP');
  t.after(() => f.proxy.process.kill('SIGCONT'));
  const ends = [];
  for (let i = 0; i < 3; i++) {
    const raw = net.connect(f.port, '127.0.0.1');
    raw.on('error', () => {}); // a reset will do
    ends.push(new Promise((resolve) => raw.on('close', resolve)));
    await once(raw, 'connect');
    await new Promise((resolve) => raw.write('\0\0\0 nonsense \r\n\r\n', resolve));
    raw.resume();
  }
  f.proxy.process.kill('SIGCONT');
  await withDeadline(Promise.all(ends), 'the end of nonsense');
  await until(() => fs.readdirSync(`/proc/${f.proxy.pid}/fd`).length === before, 'the files to be closed');
  assert.equal((await whole(f.port, { ca: f.first.ca, path: '/healthz' })).status, 200);
});

test('a new certificate serves new connections; one that does not fit changes nothing', needsOpenssl, async (t) => {
  const f = await served(t);
  const second = certify(f.folder, 'second');
  const { ca } = f.first;
  assert.equal(await shown(f.port), 'first');
  const stream = await call(f.port, { ca, ...CHAT, body: chatBody('!part x\n!silence', { stream: true }) });
  await until(() => stream.text.includes('"x"'), 'the first word');
  // the certificate alone does not fit the key
  fs.copyFileSync(second.cert, f.used.cert);
  await f.proxy.line((l) => /stays in use/.test(l.msg), 'the complaint');
  assert.equal(await shown(f.port), 'first');
  fs.copyFileSync(second.key, f.used.key);
  await f.proxy.line((l) => /was read again/.test(l.msg), 'the new one');
  assert.equal(await shown(f.port), 'second');
  assert.equal((await whole(f.port, { ca: second.ca, path: '/readyz' })).status, 200);
  assert.ok(!stream.response.destroyed, 'what was open goes on');
  stream.request.destroy();
  await f.fake.heard('turn/interrupt');
});

test('files that are none stop the start', needsOpenssl, async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tls-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const { cert } = certify(dir, 'a');
  const { key } = certify(dir, 'b');
  const nothing = path.join(dir, 'nothing');
  for (const [c, k, complaint] of [[cert, key, /not a certificate and its private key/], [cert, nothing, /nothing: No such/]]) {
    const proxy = await LoneProxy.start('ws://127.0.0.1:1', { CODEX_PROXY_TLS_CERT: c, CODEX_PROXY_TLS_KEY: k });
    const { code } = await withDeadline(proxy.exited, 'the end');
    assert.equal(code, 78, proxy.logText);
    assert.match(proxy.logText, complaint);
    proxy.assertNoComplaint();
    fs.rmSync(proxy.root, { recursive: true, force: true });
  }
});
