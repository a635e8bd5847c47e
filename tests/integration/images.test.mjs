// CODEX_IMAGE_FETCH_HOSTS, through the pair and the real codex: images by https URL, from a host with
// a certificate of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { assertError, chat, post, stream, Stream } from './http_kit.mjs';
import { Feed } from './program.mjs';
import { LoneProxy, Pair, lone, until } from './pair_kit.mjs';
import { freePort, needsCodex } from './supervisor_kit.mjs';

const needsBoth = { skip: spawnSync('openssl', ['version']).error ? 'needs the openssl program' : needsCodex.skip };

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const INVALID = { type: 'invalid_request_error', code: 'invalid_image_url' };
const place = (message, part) => `messages[${message}].content[${part}].image_url.url`;

// What is at each path; what is not here hangs.
const shelf = {
  '/dot.png': (response) => response.end(PNG),
  '/dot.gif': (response) => response.end(GIF),
  '/wrong-type': (response) => response.setHeader('content-type', 'image/png').end('<html>'),
  '/empty': (response) => response.end(),
  '/gone': (response) => response.writeHead(404).end(PNG),
  '/large': (response) => response.end(Buffer.concat([PNG, Buffer.alloc(200000)])),
  '/endless': (response) => {
    response.write(PNG);
    const timer = setInterval(() => response.write(Buffer.alloc(20000)), 1);
    response.on('close', () => clearInterval(timer));
  },
  '/cut': (response) => response.writeHead(200, { 'content-length': 1000 }).write(PNG, () => response.socket.destroy()),
};

// An https server that only its own certificate authority vouches for.
class ImageHost {
  static async start() {
    const host = new ImageHost();
    host.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'images-'));
    host.ca = path.join(host.dir, 'ca.crt');
    const key = path.join(host.dir, 'ca.key');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-subj', '/CN=images', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-days', '2', '-out', host.ca, '-keyout', key],
    { stdio: 'ignore' });
    host.asked = new Feed(); // {url, headers, gone}
    host.server = https.createServer({ cert: fs.readFileSync(host.ca), key: fs.readFileSync(key) }, (request, response) => {
      const { url, headers } = request;
      const gone = once(response, 'close');
      host.asked.push({ url, headers, gone });
      const { pathname, searchParams } = new URL(url, 'https://x');
      if (pathname === '/to') response.writeHead(302, { location: searchParams.get('url') }).end('moved');
      else if (pathname === '/around') response.writeHead(302, { location: '/around' }).end();
      else shelf[pathname]?.(response);
    });
    host.server.listen(0);
    await once(host.server, 'listening');
    host.port = host.server.address().port;
    return host;
  }

  at(where, name = '127.0.0.1') {
    return `https://${name}:${this.port}${where}`;
  }

  count(where) {
    return this.asked.all.filter((a) => a.url === where).length;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections?.();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

const image = (url) => ({ type: 'image_url', image_url: { url } });
const text = (said) => ({ type: 'text', text: said });
const user = (...content) => [{ role: 'user', content }];
const body = (messages, more) => JSON.stringify({ messages, ...more });

describe('images by https URL', needsBoth, () => {
  let host, p, nobody;
  before(async () => {
    host = await ImageHost.start();
    nobody = await freePort();
    p = await Pair.start({ env: {
      CODEX_IMAGE_FETCH_HOSTS: `images.example.com, 127.0.0.1:${host.port},localhost:${host.port},127.0.0.1:${nobody}`,
      CODEX_IMAGE_FETCH_CA_FILE: host.ca,
      CODEX_MAX_REQUEST_SIZE: '262144',
      CODEX_MAX_CONCURRENT: '2',
      CODEX_MAX_QUEUE_DEPTH: '3',
    } });
  });
  after(async () => {
    try {
      await p?.stop();
    } finally {
      host?.stop();
    }
  });

  const ask = (messages, more) => post(p.port, body(messages, more));
  const imagesWith = async (said) => (await p.provider.requestWith(said)).body.input
    .flatMap((item) => item.content ?? []).filter((part) => part.type === 'input_image').map((part) => part.image_url);
  const dataUrl = (type, bytes) => `data:image/${type};base64,${bytes.toString('base64')}`;

  // Codex makes a PNG of a GIF by itself.
  test('the model gets what it would get of a data URL, each image in its place: the same bytes of a PNG', async () => {
    const answer = await ask([
      ...user(text('some of them'), image(host.at('/dot.png')), image(dataUrl('png', PNG)), image(dataUrl('gif', GIF))),
      { role: 'assistant', content: 'Yes.' },
      ...user(image(host.at('/dot.gif')), text('!say 1 0 three')),
    ]);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.choices[0].message.content, 'three');
    const got = await imagesWith('some of them');
    assert.equal(got.length, 4);
    assert.deepEqual(got.slice(0, 2), [dataUrl('png', PNG), dataUrl('png', PNG)]);
    assert.equal(got[3], got[2]);
    const { headers } = await host.asked.first((a) => a.url === '/dot.png', 'a request for the image');
    assert.match(headers['user-agent'], /^codex-sidecar\//);
    assert.ok(!headers.authorization && !headers.cookie);
  });

  test('a redirection to an allowed host is followed, three times at most', async () => {
    const twice = host.at(`/to?url=${encodeURIComponent(`/to?url=${encodeURIComponent(host.at('/dot.png?far'))}`)}`);
    const answer = await ask(user(text('redirected'), image(twice), text('!say 1 0 there')));
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(await imagesWith('redirected'), [dataUrl('png', PNG)]);
    assert.equal(host.count('/dot.png?far'), 1);
    const around = await ask(user(image(host.at('/around'))));
    assertError(around, 400, { ...INVALID, param: place(0, 0), message: /too often/ });
    assert.equal(host.count('/around'), 4);
  });

  test('POST /v1/responses fetches too, and names its own place', async () => {
    const send = (content) => post(p.port, JSON.stringify({ model: 'gpt-5.5', store: false, input: [{ role: 'user', content }] }),
      { path: '/v1/responses' });
    const input = (where) => ({ type: 'input_image', image_url: host.at(where) });
    const answer = await send([{ type: 'input_text', text: 'by responses\n!say 1 0 seen' }, input('/dot.png')]);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(await imagesWith('by responses'), [dataUrl('png', PNG)]);
    assertError(await send([input('/gone')]), 400, { ...INVALID, param: 'input[0].content[0].image_url', message: /status 404/ });
  });

  test('the choices of one request share what is fetched', async () => {
    const before = host.count('/dot.png?n');
    const answer = await ask(user(image(host.at('/dot.png?n')), text('!say 1 0 each')), { n: 3 });
    assert.deepEqual(answer.json.choices.map((c) => c.message.content), ['each', 'each', 'each'], answer.text);
    assert.equal(host.count('/dot.png?n'), before + 1);
  });

  test('what cannot be fetched is a 400 that says why and names the place; the model is asked nothing', async () => {
    const asked = p.provider.requests.length;
    const slow = ask(user(text('x'), image(host.at('/never')))); // told after 10 s
    for (const [url, message] of [
      ['https://example.com/a.png', /does not fetch from that host/],
      ['https://images.example.com:8443/a.png', /does not fetch from that host/],
      [`https://127.0.0.1:${host.port + 1}/dot.png`, /does not fetch from that host/],
      [`https://user:secret@127.0.0.1:${host.port}/dot.png`, /user name/],
      [`http://127.0.0.1:${host.port}/dot.png`, /only https/],
      ['ftp://example.com/a.png', /only https/],
      ['https://', /not a URL/],
      [host.at('/dot.png', 'localhost'), /not a public one/],
      [`https://127.0.0.1:${nobody}/dot.png`, /cannot be reached/],
      [host.at('/gone'), /status 404/],
      [host.at('/wrong-type'), /neither PNG, JPEG, GIF nor WebP/],
      [host.at('/empty'), /neither PNG/],
      [host.at('/large'), /larger than a request may be/],
      [host.at('/endless'), /larger than a request may be/],
      [host.at('/cut'), /did not answer as it should/],
      [host.at(`/to?url=${encodeURIComponent('https://example.org/a.png')}`), /does not fetch from that host/],
      [host.at(`/to?url=${encodeURIComponent('http://127.0.0.1/a.png')}`), /only https/],
      [host.at(`/to?url=${encodeURIComponent(host.at('/dot.png', 'localhost'))}`), /not a public one/],
    ]) {
      const answer = await ask([...user(text('look')), ...user(text('here'), image(url))]);
      assertError(answer, 400, { ...INVALID, param: place(1, 1), message });
      assert.ok(!answer.text.includes('secret'));
    }
    const streamed = new Stream(p.port, body(user(image(host.at('/gone'))), { stream: true }));
    assert.equal(await streamed.end(), 'whole');
    assert.equal(streamed.status, 400);
    const many = await ask(user(...Array(17).fill(image(host.at('/many')))));
    assertError(many, 400, { ...INVALID, param: place(0, 0), message: /more than 16/ });
    assert.equal(host.count('/many'), 0);
    const large = await ask(user(image(host.at('/dot.png')), ...Array(2).fill(image(host.at('/endless')))));
    assert.equal(large.status, 400, 'together they are too large');
    assertError(await slow, 400, { ...INVALID, param: place(0, 1), message: /in time/ });
    assert.equal(p.provider.requests.length, asked);
  });

  test('a slow host takes no slot; more requests than may run and wait are refused', async () => {
    const waiting = Array.from({ length: 5 }, (_, i) =>
      new Stream(p.port, body(user(image(host.at(`/slow-${i}`))), { stream: true })));
    for (let i = 0; i < 5; i++) await host.asked.first((a) => a.url === `/slow-${i}`, `a request for /slow-${i}`);
    assert.equal(await p.inFlight(), 0);
    assert.equal((await chat(p.port, '!say 1 0 not in the way')).json.choices[0].message.content, 'not in the way');
    assertError(await ask(user(image(host.at('/dot.png')))), 503, { type: 'server_error', code: 'queue_full' });
    const aborted = Date.now();
    for (const s of waiting) s.abort();
    for (let i = 0; i < 5; i++) await (await host.asked.first((a) => a.url === `/slow-${i}`, 'it')).gone;
    assert.ok(Date.now() - aborted < 5000, 'each fetch ends with its request, and not at its timeout');
    const enough = await ask(user(image(host.at('/dot.png')), text('!say 1 0 again')));
    assert.equal(enough.status, 200, enough.text);
    await p.assertIdle();
  });
});

describe('images by https URL, in front of a fake app-server', needsBoth, () => {
  let host;
  before(async () => {
    host = await ImageHost.start();
  });
  after(() => host?.stop());

  test('a host with a certificate that nobody vouches for is not asked', async (t) => {
    const f = await lone(t, { env: { CODEX_IMAGE_FETCH_HOSTS: `127.0.0.1:${host.port}` } });
    const answer = await post(f.port, body(user(image(host.at('/dot.png')))));
    assertError(answer, 400, { ...INVALID, param: place(0, 0), message: /certificate is not valid/ });
    assert.equal(host.asked.all.length, 0);
  });

  test("the request's own deadline counts, and a drain waits for the image", async (t) => {
    const f = await lone(t, { env: {
      CODEX_IMAGE_FETCH_HOSTS: `127.0.0.1:${host.port}`, CODEX_IMAGE_FETCH_CA_FILE: host.ca,
      CODEX_PROXY_TIMEOUT_MS: '1500',
    } });
    const from = host.asked.mark;
    const late = await post(f.port, body(user(image(host.at('/never')))));
    assertError(late, 504, { type: 'server_error', code: 'request_timeout' });
    const { gone } = await host.asked.first((a) => a.url === '/never', 'a request for it', from);
    await gone;

    const drained = post(f.port, body(user(image(host.at('/until-the-end')))));
    await host.asked.first((a) => a.url === '/until-the-end', 'a request for it');
    f.proxy.process.kill('SIGTERM');
    assertError(await drained, 504, { type: 'server_error', code: 'request_timeout' });
  });

  test('fetched bytes go to the app-server; an app-server that is lost is no reason to fetch again', async (t) => {
    const f = await lone(t, { env: { CODEX_IMAGE_FETCH_HOSTS: `127.0.0.1:${host.port}`, CODEX_IMAGE_FETCH_CA_FILE: host.ca } });
    const files = () => fs.readdirSync(`/proc/${f.proxy.pid}/fd`).length;
    await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
    const before = files();
    await f.fake.order('rpc-error thread/start 1 -32603');
    const answer = await post(f.port, body(user(image(host.at('/dot.png?once')), text('!say 1 0 fine'))));
    assert.equal(answer.json.choices[0].message.content, 'fine', answer.text);
    const { params } = await f.fake.heard('thread/inject_items');
    assert.deepEqual(params.items[0].content[0], { type: 'input_image', image_url: `data:image/png;base64,${PNG.toString('base64')}` });
    assert.equal(host.count('/dot.png?once'), 1);
    for (const where of ['/dot.png', '/gone', '/cut', '/dot.png', '/around'])
      await post(f.port, body(user(image(host.at(where)), text('!say 1 0 more'))));
    await until(async () => files() <= before, 'the connections to be closed');
  });

  test('a file of authorities that is not there stops the start', async () => {
    const proxy = await LoneProxy.start('unix:///nowhere.sock', {
      CODEX_IMAGE_FETCH_HOSTS: 'example.com', CODEX_IMAGE_FETCH_CA_FILE: '/no/such/file',
    });
    assert.equal((await proxy.exited).code, 78);
    assert.match(proxy.logText, /CODEX_IMAGE_FETCH_CA_FILE: \/no\/such\/file: No such file/);
    fs.rmSync(proxy.root, { recursive: true, force: true });
  });
});
