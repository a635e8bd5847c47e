// What a browser asks and is told before a page may call.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, assertError, chat, stream } from './http_kit.mjs';
import { lone } from './pair_kit.mjs';

const PAGE = 'https://app.example';
const OTHER = 'https://evil.example';

const corsHeaders = (answer) => Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'));

const preflight = (port, origin, more = {}) =>
  ask(port, {
    method: 'OPTIONS',
    path: '/v1/chat/completions',
    key: null,
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers':
        'authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-retry-count',
      ...more,
    },
  });

test('pages that may call: preflight, answers, streams and errors', async (t) => {
  const f = await lone(t, { env: { CODEX_CORS_ORIGINS: `http://localhost:5173,${PAGE}` } });
  const first = await preflight(f.port, PAGE);
  assert.deepEqual([first.status, first.text], [204, '']);
  assert.equal(first.headers['access-control-allow-origin'], PAGE);
  assert.match(first.headers.vary, /Origin/);
  assert.match(first.headers['access-control-allow-methods'], /POST/);
  const allowed = first.headers['access-control-allow-headers'].split(', ');
  for (const name of ['authorization', 'content-type', 'x-stainless-arch', 'x-stainless-retry-count'])
    assert.ok(allowed.includes(name), name);
  assert.equal(first.headers['content-type'], undefined);
  const exposed = (answer) => answer.headers['access-control-expose-headers'].split(', ');
  const headers = { origin: PAGE };
  const good = await chat(f.port, '!say 1 0 t', {}, { headers });
  assert.equal(good.status, 200);
  assert.equal(good.headers['access-control-allow-origin'], PAGE);
  for (const name of ['x-request-id', 'retry-after', 'x-ratelimit-remaining-requests', 'x-codex-ignored-params'])
    assert.ok(exposed(good).includes(name), name);
  const s = stream(f.port, '!say 1 0 t', {}, { headers });
  assert.equal(await s.end(), 'whole');
  assert.equal(s.headers['access-control-allow-origin'], PAGE);
  for (const key of [null, 'sk-wrong']) {
    const refused = await chat(f.port, 'x', {}, { headers, key });
    assertError(refused, 401, { type: 'invalid_request_error', code: 'invalid_api_key' });
    assert.equal(refused.headers['access-control-allow-origin'], PAGE);
  }
  // the preflight has no body, and the connection goes on
  const again = await preflight(f.port, PAGE, { connection: 'keep-alive' });
  assert.equal(again.status, 204);
});

test('other pages get no CORS header, whatever they ask', async (t) => {
  const f = await lone(t, { env: { CODEX_CORS_ORIGINS: PAGE } });
  for (const origin of [OTHER, `${PAGE}.evil.example`, 'null', PAGE.replace('https', 'http')]) {
    const first = await preflight(f.port, origin);
    assert.deepEqual([first.status, corsHeaders(first)], [401, []], origin);
    const answer = await ask(f.port, { path: '/v1/models', headers: { origin } });
    assert.deepEqual([answer.status, corsHeaders(answer)], [200, []], origin);
    assert.equal(answer.headers.vary, 'Origin');
  }
});

test('* is for all; without the setting there is nothing of it', async (t) => {
  const all = await lone(t, { env: { CODEX_CORS_ORIGINS: '*' } });
  assert.equal((await preflight(all.port, OTHER)).headers['access-control-allow-origin'], '*');
  const none = await lone(t);
  const first = await preflight(none.port, PAGE);
  assert.deepEqual([first.status, corsHeaders(first)], [401, []]);
  assert.equal((await ask(none.port, { path: '/v1/models', headers: { origin: PAGE } })).headers.vary, undefined);
});

test('where no key is asked for, a page that may not call is refused', async (t) => {
  const f = await lone(t, { env: { CODEX_PROXY_API_KEY: '', CODEX_PROXY_NO_AUTH: '1', CODEX_CORS_ORIGINS: PAGE } });
  const refused = await chat(f.port, 'x', {}, { key: null, headers: { origin: OTHER } });
  assertError(refused, 403, { type: 'invalid_request_error', code: 'origin_not_allowed' });
  assert.equal(f.fake.count('thread/start'), 0);
  assert.equal((await chat(f.port, '!say 1 0 t', {}, { key: null, headers: { origin: PAGE } })).status, 200);
  assert.equal((await chat(f.port, '!say 1 0 t', {}, { key: null })).status, 200);
});
