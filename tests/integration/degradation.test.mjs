// What /readyz says of a refused login and of a provider that fails, and how that ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, post, stream } from './http_kit.mjs';
import { Pair, lone } from './pair_kit.mjs';
import { needsCodex, until } from './supervisor_kit.mjs';

// The app-server's own words for it; the proxy alone restarts nothing.
const REFUSED = '!fail "unauthorized" Please log in again.';
const FAILS = '!fail "internalServerError" no';

test('a refused login: 503 with the reason, requests are let through, the first success ends it', async (t) => {
  const f = await lone(t);
  assert.equal((await f.proxy.readyz()).status, 200);
  assert.equal((await chat(f.port, REFUSED)).status, 503);
  for (const path of ['/readyz', '/health']) {
    const { status, json } = await ask(f.port, { path, key: null });
    assert.deepEqual([status, json.status], [503, 'not_ready']);
    assert.match(json.reasons[0], /^the login of app-server 0 is refused: .*log in again/i);
  }
  assert.equal((await ask(f.port, { path: '/healthz', key: null })).status, 200, 'alive all the same');
  assert.match((await ask(f.port, { path: '/metrics', key: null })).text, /state="auth_failed"} 1/);
  assert.equal((await chat(f.port, '!say 1 0 ok')).status, 200);
  const { status, json } = await f.proxy.readyz();
  assert.deepEqual([status, json.status, json.reasons], [200, 'ready', undefined]);
});

test('a provider that fails in a row: degraded, and well again with the first success', async (t) => {
  const f = await lone(t, { env: { CODEX_DEGRADATION_THRESHOLD: '3' } });
  const fail = async () => assert.equal((await chat(f.port, FAILS)).status, 502);
  await fail();
  await fail();
  assert.equal((await f.proxy.readyz()).status, 200);
  assert.equal((await chat(f.port, '!say 1 0 ok')).status, 200, 'the row begins again');
  await fail();
  await fail();
  assert.equal((await f.proxy.readyz()).status, 200);
  await fail();
  const { status, json } = await f.proxy.readyz();
  assert.deepEqual([status, json.status], [503, 'degraded']);
  assert.match(json.reasons[0], /app-server 0: its provider fails/);
  await fail(); // still let through, and still told
  assert.equal((await f.proxy.readyz()).status, 503);
  const s = stream(f.port, '!say 2 0 ok');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.status, 200);
  assert.equal((await f.proxy.readyz()).status, 200);
});

test('what callers do wrong never counts', async (t) => {
  const f = await lone(t, { env: { CODEX_DEGRADATION_THRESHOLD: '1' } });
  for (let i = 0; i < 5; i++) {
    assert.equal((await post(f.port, '{}')).status, 400);
    assert.equal((await chat(f.port, '!fail "other" no')).status, 400);
    assert.equal((await chat(f.port, '!fail "contextWindowExceeded" too long')).status, 400);
    assert.equal((await chat(f.port, '!fail "usageLimitExceeded" enough')).status, 429);
    assert.equal((await chat(f.port, 'hi', { model: 'nothing' })).status, 404);
    const s = stream(f.port, '!part x\n!silence');
    await s.text('x');
    s.abort();
  }
  assert.equal((await f.proxy.readyz()).status, 200);
});

test('a new app-server begins well', async (t) => {
  const f = await lone(t);
  assert.equal((await chat(f.port, REFUSED)).status, 503);
  assert.equal((await f.proxy.readyz()).status, 503);
  // Without a supervisor nobody says that it is another one: the first success does.
  await f.fake.stop();
  f.fake = await f.fake.constructor.start(f.fake.url);
  await until(async () => (await chat(f.port, '!say 1 0 ok')).status === 200, 'a success');
  assert.equal((await f.proxy.readyz()).status, 200);
});

test('the pair: 500s of the provider degrade it, a success makes it well', needsCodex, async () => {
  const p = await Pair.start({ env: { CODEX_DEGRADATION_THRESHOLD: '2' } });
  try {
    const readyz = () => ask(p.port, { path: '/readyz', key: null });
    for (let i = 0; i < 3; i++) assert.equal((await chat(p.port, '!status 400 {}')).status, 400);
    assert.equal((await readyz()).status, 200);
    assert.equal((await chat(p.port, '!status 500 x')).status, 502);
    assert.equal((await readyz()).status, 200);
    assert.equal((await chat(p.port, '!status 500 x')).status, 502);
    // the supervisor takes half a minute before it tries another app-server
    const { status, json } = await readyz();
    assert.deepEqual([status, json.status], [503, 'degraded']);
    assert.equal((await chat(p.port, '!say 1 0 ok')).status, 200);
    assert.equal((await readyz()).status, 200);
  } finally {
    await p.stop();
  }
});

test('the pair: a 401 of the provider is told in /readyz until a request succeeds', needsCodex, async () => {
  const p = await Pair.start();
  try {
    const readyz = () => ask(p.port, { path: '/readyz', key: null });
    assert.equal((await chat(p.port, '!status 401 {"error":{"message":"bad key"}}')).status, 503);
    const { status, json } = await readyz();
    assert.equal(status, 503);
    // or it is being restarted already
    assert.match(json.reasons[0], /app-server 0/);
    await until(async () => (await chat(p.port, '!say 1 0 ok')).status === 200, 'a success');
    await until(async () => (await readyz()).status === 200, 'it to be ready');
  } finally {
    await p.stop();
  }
});
