// codex-proxy in front of an app-server that does what the real one will not do on demand. No
// request may hang, nothing may be said twice, and the proxy must be well afterwards.
import Ajv from 'ajv';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { assertError, assertShape, assertWellFormed, chat, stream, textOf } from './http_kit.mjs';
import { AppServerClient, FakeAppServer, assertWell, isReady, lone } from './pair_kit.mjs';
import { needsCodex, realCodex, until, withDeadline } from './supervisor_kit.mjs';

async function inFlight({ proxy }) {
  const { json } = await proxy.readyz();
  return json.in_flight + json.queued;
}

test('the answer of turn/start may come after its notifications, or twice, among garbage', async (t) => {
  const f = await lone(t);
  for (const directive of ['!early', '!deltas-first', '!dup', '!garbage', '!server-request item/fileChange/requestApproval'])
    for (const before of [true, false]) {
      const lines = [directive, '!say 3 2 tok'];
      const content = (before ? lines : lines.reverse()).join('\n');
      assert.equal(textOf(await chat(f.port, content)), 'tok0 tok1 tok2 ', content);
      const s = stream(f.port, content);
      assert.equal(await s.end(), 'whole');
      assert.equal(assertWellFormed(s.chunks), 'tok0 tok1 tok2 ', content);
    }
  assert.equal(f.fake.count('turn/start'), 20);
  await assertWell(f);
});

test('the same over TCP', async (t) => {
  const f = await lone(t, { over: 'tcp' });
  assert.match(f.fake.url, /^ws:/);
  assert.equal(textOf(await chat(f.port, '!say 3 0 tok')), 'tok0 tok1 tok2 ');
  await f.fake.order('drop');
  await assertWell(f);
  await f.fake.stop();
  const waiting = chat(f.port, '!say 1 0 waited');
  await until(async () => (await inFlight(f)) === 1, 'the request to wait');
  f.fake = await FakeAppServer.start(f.fake.url);
  assert.equal(textOf(await waiting), 'waited');
  await assertWell(f);
});

test('what belongs to other threads is not heard', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!say 1 0 mine\n!stranger\n!say 1 0 too');
  assert.equal(await s.end(), 'whole');
  assert.equal(assertWellFormed(s.chunks), 'mine\n\ntoo');
  await assertWell(f);
});

test('a request of the server that nobody can answer is refused, not left waiting', async (t) => {
  const f = await lone(t);
  textOf(await chat(f.port, '!server-request no/such/request\n!say 1 0 ok'));
  const { error } = await f.fake.out.first((l) => l.error && l.id !== undefined, 'the refusal');
  assert.equal(error.code, -32601);
});

test('whatever the installed codex may ask is answered, in its own shapes', needsCodex, async (t) => {
  const f = await lone(t);
  const schemas = path.join(f.dir, 'schemas');
  execFileSync(realCodex, ['app-server', 'generate-json-schema', '--experimental', '--out', schemas], { stdio: 'ignore' });
  const schema = (name) => JSON.parse(fs.readFileSync(path.join(schemas, `${name}.json`), 'utf8'));
  const methods = schema('ServerRequest').oneOf.map(({ properties: { method, params } }) =>
    [method.enum[0], params.$ref.split('/').at(-1).replace(/Params$/, 'Response')]);
  assert.ok(methods.length >= 10);
  for (const [method, response] of methods) {
    if (method === 'item/tool/call') continue; // of a turn of ours: the turn is ended instead
    const from = f.fake.out.mark;
    textOf(await chat(f.port, `!server-request ${method}\n!say 1 0 ok`));
    const { result, error } = await f.fake.out.first((l) => (l.error || l.result) && l.id !== undefined, `answer to ${method}`, from);
    if (error) {
      assert.equal(error.code, -32000, `${method} is known, and refused: ${error.message}`);
      continue;
    }
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema(response));
    assert.ok(validate(result), `${method}: ${JSON.stringify(result)} ${JSON.stringify(validate.errors)}`);
    assert.doesNotMatch(JSON.stringify(result), /accept|approved/);
  }
});

test('a lost turn/completed: the answer is finished all the same, and soon', async (t) => {
  const f = await lone(t);
  const begin = Date.now();
  const whole = chat(f.port, '!say 3 0 tok\n!lost-completed');
  const s = stream(f.port, '!say 3 0 tok\n!lost-completed', { stream_options: { include_usage: true } });
  assert.equal(textOf(await whole), 'tok0 tok1 tok2 ');
  assert.equal(await s.end(), 'whole');
  assert.equal(assertWellFormed(s.chunks, { usage: true }), 'tok0 tok1 tok2 ');
  assert.ok(Date.now() - begin < 8000);
  await assertWell(f);
});

test('thread/closed in the middle: a committed stream ends in an error, another begins again', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!part some\n!closed');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.content, 'some');
  assertShape('ErrorResponse', s.chunks.at(-1));
  assert.equal(s.error.code, 'backend_lost');
  const answer = chat(f.port, '!wait 300\n!say 1 0 second try');
  await f.fake.heard('turn/start', 0, () => f.fake.count('turn/start') === 2);
  await f.fake.order('close-threads');
  assert.equal(textOf(await answer), 'second try');
  assert.equal(f.fake.count('turn/start'), 3);
  await assertWell(f);
});

test('the connection drops in the middle of a turn', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!part some\n!wait 20\n!close-socket');
  assert.equal(await s.end(), 'whole');
  assert.deepEqual([s.content, s.error.code], ['some', 'backend_lost']);
  assert.equal(s.events.all.at(-1).data, '[DONE]');
  await assertWell(f);
  // all turns of the connection end at once, the uncommitted ones begin again
  const committed = Array.from({ length: 3 }, () => stream(f.port, '!part some\n!silence'));
  await Promise.all(committed.map((c) => c.text('some')));
  const uncommitted = chat(f.port, '!wait 300\n!say 1 0 again');
  await f.fake.heard('thread/inject_items', 0, (m) => m.text.includes('again'));
  const from = f.fake.out.mark;
  await f.fake.order('drop');
  for (const c of committed) {
    assert.equal(await c.end(), 'whole');
    assert.equal(c.error.code, 'backend_lost');
  }
  assert.equal(textOf(await uncommitted), 'again');
  await f.fake.heard('initialize', from);
  await assertWell(f);
});

test('ids of calls never repeat, over reconnects too', async (t) => {
  const f = await lone(t);
  for (let i = 0; i < 3; i++) {
    await chat(f.port, 'hi');
    const from = f.fake.out.mark;
    await f.fake.order('drop');
    await f.fake.heard('model/list', from);
  }
  await chat(f.port, 'hi');
  const ids = f.fake.out.all.filter((l) => l.method && l.id !== undefined).map((l) => l.id);
  assert.ok(ids.length >= 18, `${ids.length}`); // those of cleaning up may be lost with the connection
  assert.equal(new Set(ids).size, ids.length);
});

test('the app-server goes and comes back: the proxy finds it again, requests wait meanwhile', async (t) => {
  const f = await lone(t);
  await f.fake.stop();
  await until(async () => (await f.proxy.readyz()).status === 503, 'the proxy to be not ready');
  const { json } = await f.proxy.readyz();
  assert.equal(json.status, 'not_ready');
  assert.ok(json.reasons[0].length > 10, json.reasons[0]);
  const waiting = chat(f.port, '!say 1 0 waited for it');
  await until(async () => (await inFlight(f)) === 1, 'the request to wait');
  f.fake = await FakeAppServer.start(f.fake.url);
  assert.equal(textOf(await waiting), 'waited for it');
  await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
  await assertWell(f);
});

test('no app-server at all: 503 with Retry-After when the time in the queue is over', async (t) => {
  const f = await lone(t, { env: { CODEX_QUEUE_TIMEOUT_MS: '200' } });
  await f.fake.stop();
  const answer = await chat(f.port, 'hi');
  assertError(answer, 503, { type: 'server_error', code: 'backend_unavailable' });
  assert.ok(Number(answer.headers['retry-after']) > 0);
  f.fake = await FakeAppServer.start(f.fake.url);
  await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
  await assertWell(f);
});

test('a socket that accepts and never answers is given up, and the next one used', async (t) => {
  const f = await lone(t, { env: { CODEX_QUEUE_TIMEOUT_MS: '200' } });
  await f.fake.stop();
  const dead = net.createServer().listen(f.fake.url.slice('unix://'.length));
  const sockets = [];
  dead.on('connection', (socket) => sockets.push(socket.on('error', () => {})));
  const [connection] = await withDeadline(once(dead, 'connection'), 'the proxy to connect');
  assertError(await chat(f.port, 'hi'), 503, { type: 'server_error', code: 'backend_unavailable' });
  connection.resume();
  await withDeadline(once(connection, 'close'), 'the proxy to give up');
  dead.close();
  for (const socket of sockets) socket.destroy();
  await once(dead, 'close');
  f.fake = await FakeAppServer.start(f.fake.url);
  await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
  await assertWell(f);
});

test('initialize or model/list never answered, or refused: not ready; then another try', async (t) => {
  for (const order of ['rpc-error initialize 2', 'rpc-error model/list 2']) {
    const f = await lone(t, { orders: [order], wait: false });
    await isReady(f.proxy);
    assert.equal(f.fake.count('initialize'), 3);
    await assertWell(f);
  }
});

test('-32001 is tried again, and the caller notices nothing', async (t) => {
  const f = await lone(t);
  for (const method of ['thread/start', 'thread/inject_items', 'turn/start']) {
    await f.fake.order(`rpc-error ${method} 2 -32001`);
    assert.equal(textOf(await chat(f.port, `!say 1 0 ${method}`)), method);
    await f.fake.order('clear');
  }
  await f.fake.order('rpc-error thread/start 1000 -32001');
  const before = f.fake.count('thread/start');
  const answer = await chat(f.port, '!say 1 0 never');
  assertError(answer, 503, { type: 'server_error', code: 'backend_unavailable' });
  assert.ok(Number(answer.headers['retry-after']) > 0);
  const tries = f.fake.count('thread/start') - before;
  assert.ok(tries > 3 && tries < 15, `${tries} tries: patient, but no storm`);
  await f.fake.order('clear');
  await assertWell(f);
});

test('an error of a call is told, and leaves no thread', async (t) => {
  const f = await lone(t);
  for (const method of ['thread/start', 'thread/inject_items', 'turn/start']) {
    await f.fake.order(`rpc-error ${method} 1000 -32602`);
    const { status, json } = await chat(f.port, 'hi');
    assert.equal(status, 400, method);
    assert.equal(json.error.type, 'invalid_request_error');
    await f.fake.order('clear');
  }
  await assertWell(f);
});

test('a request that always fails is an error within seconds, and no SDK tries it again', async (t) => {
  const f = await lone(t);
  const tries = async (text, code, least, most) => {
    const before = f.fake.count('thread/start');
    const answer = await chat(f.port, text);
    assertError(answer, 502, { type: 'server_error', code });
    assert.equal(answer.headers['x-should-retry'], 'false');
    const count = f.fake.count('thread/start') - before;
    assert.ok(least <= count && count <= most, `${count} tries`);
  };
  await f.fake.order('rpc-error turn/start 1000 -32603');
  await tries('hi', 'backend_error', 3, 3);
  await f.fake.order('clear');
  await tries('!close-socket', 'backend_lost', 4, 8);
  await assertWell(f);
});

test('silence before the first event: 504 when its time is over, the turn interrupted', async (t) => {
  const f = await lone(t, { env: { CODEX_FIRST_EVENT_TIMEOUT_MS: '200', CODEX_SSE_HEADER_DELAY_MS: '60000' } });
  const from = f.fake.out.mark;
  assertError(await chat(f.port, '!silence'), 504, { type: 'server_error', code: 'backend_timeout' });
  await f.fake.heard('turn/interrupt', from);
  const s = stream(f.port, '!silence');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.status, 504);
  await assertWell(f);
});

test('headers that went out already: the same failure is an error in the stream', async (t) => {
  const f = await lone(t, { env: { CODEX_FIRST_EVENT_TIMEOUT_MS: '300', CODEX_SSE_HEADER_DELAY_MS: '20', CODEX_KEEPALIVE_MS: '50' } });
  const s = stream(f.port, '!silence');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.status, 200);
  assert.equal(s.error.code, 'backend_timeout');
  assert.ok(s.events.all.some((e) => e.comment), 'kept alive meanwhile');
  await assertWell(f);
});

test('silence in the middle: the stream ends in an error, the turn is interrupted', async (t) => {
  const f = await lone(t, { env: { CODEX_IDLE_TIMEOUT_MS: '200' } });
  const from = f.fake.out.mark;
  const s = stream(f.port, '!part some\n!silence');
  assert.equal(await s.end(), 'whole');
  assert.deepEqual([s.content, s.error.code], ['some', 'upstream_timeout']);
  await f.fake.heard('turn/interrupt', from);
  // steady slow text is no silence
  assert.equal(textOf(await chat(f.port, '!say 8 100 t')), 't0 t1 t2 t3 t4 t5 t6 t7 ');
  await assertWell(f);
});

test('everything lost after the text: no request outlives its deadline', async (t) => {
  const f = await lone(t, { env: { CODEX_IDLE_TIMEOUT_MS: '300' } });
  const answer = await chat(f.port, '!say 3 0 tok\n!lost-all');
  assertError(answer, 504, { type: 'server_error', code: 'upstream_timeout' });
  await assertWell(f);
});

test('the whole time of a request is limited, however busy it is', async (t) => {
  const f = await lone(t, { env: { CODEX_PROXY_TIMEOUT_MS: '400' } });
  assertError(await chat(f.port, '!say 1000 10 t'), 504, { type: 'server_error', code: 'request_timeout' });
  const s = stream(f.port, '!say 1000 10 t');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.error.code, 'request_timeout');
  await assertWell(f);
});

test('a frozen app-server: its turns end by their deadlines, and it is used again when it thaws', async (t) => {
  const f = await lone(t, { env: { CODEX_IDLE_TIMEOUT_MS: '300', CODEX_FIRST_EVENT_TIMEOUT_MS: '300' } });
  const s = stream(f.port, '!part some\n!silence');
  await s.text('some');
  f.fake.process.kill('SIGSTOP');
  try {
    const answer = await chat(f.port, 'hi');
    assert.equal(answer.status, 504);
    assert.equal(await s.end(), 'whole');
    assert.equal(s.error.code, 'upstream_timeout');
    assert.equal(await inFlight(f), 0);
  } finally {
    f.fake.process.kill('SIGCONT');
  }
  await assertWell(f);
});

test("codex's own retry: what was said is not said again", async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!part one two\n!retry\n!say 1 0 one two three');
  assert.equal(await s.end(), 'whole');
  assert.equal(assertWellFormed(s.chunks), 'one two three');
  assert.equal(textOf(await chat(f.port, '!part one two\n!retry\n!say 1 0 one two three')), 'one two three');
  // one that goes another way cannot be put right once it is with the caller
  const other = stream(f.port, '!part one two\n!retry\n!say 1 0 one too many');
  assert.equal(await other.end(), 'whole');
  assert.deepEqual([other.content, other.error.code], ['one two', 'stream_disconnected']);
  const shorter = stream(f.port, '!part one two\n!retry\n!say 1 0 one');
  assert.equal(await shorter.end(), 'whole');
  assert.equal(shorter.content, 'one two');
  assert.equal(shorter.error.code, 'stream_disconnected');
  await assertWell(f);
});

test('threads that nobody uses are swept', async (t) => {
  const f = await lone(t, { env: { CODEX_ORPHAN_SWEEP_INTERVAL_MS: '100' } });
  const stranger = await AppServerClient.connect(f.fake.url);
  for (let i = 0; i < 3; i++) await stranger.call('thread/start', {});
  const own = stream(f.port, '!part mine\n!wait 1500\n!say 1 0 still');
  await own.text('mine');
  await until(async () => (await stranger.loadedThreads()).length === 1, 'the strangers to be gone');
  assert.equal(await own.end(), 'whole');
  assert.match(assertWellFormed(own.chunks), /still$/);
  stranger.close();
  await assertWell(f);
});

test('a thread that was lost with its connection is let go after the reconnect', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!part some\n!silence');
  await s.text('some');
  const { id } = await f.fake.heard('turn/start');
  assert.ok(id > 0);
  const from = f.fake.out.mark;
  await f.fake.order('drop');
  await s.end();
  await f.fake.heard('turn/interrupt', from);
  await f.fake.heard('thread/unsubscribe', from);
  await assertWell(f);
});
