// A turn whose end nobody tells, and one that codex would never end: both end in time, as they must.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertError, assertWellFormed, chat, stream, textOf } from './http_kit.mjs';
import { assertWell, lone, pair } from './pair_kit.mjs';
import { freePort, needsCodex, until } from './supervisor_kit.mjs';

// [result, how long it took in ms]
async function timed(promise) {
  const begin = Date.now();
  return [await promise, Date.now() - begin];
}

test('no turn/completed: codex is asked 2 s later; idle is the end, with all that was said', async (t) => {
  const f = await lone(t);
  const lost = ['turn/completed', 'rawResponse/completed\n!event lose turn/completed'];
  await Promise.all(lost.map(async (events) => {
    const s = stream(f.port, `!say 3 0 tok\n!event lose ${events}`);
    const [[answer, ms]] = await Promise.all([timed(chat(f.port, `!say 3 0 tok\n!event lose ${events}`)), s.end()]);
    assert.equal(textOf(answer), 'tok0 tok1 tok2 ');
    assert.equal(assertWellFormed(s.chunks), 'tok0 tok1 tok2 ');
    assert.ok(ms >= 1900 && ms < 5000, `${ms} ms`);
  }));
  assert.equal(f.fake.count('thread/read'), 4);
  await assertWell(f);
});

test('a failure whose turn/completed is lost is told 2 s later', async (t) => {
  const f = await lone(t);
  const [answer, ms] = await timed(chat(f.port, '!fail "contextWindowExceeded" too long\n!lost-completed'));
  assertError(answer, 400, { type: 'invalid_request_error', code: 'context_length_exceeded' });
  assert.ok(ms >= 1900 && ms < 5000, `${ms} ms`);
  await assertWell(f);
});

test('a thread that codex does not know any more ends with what was said', async (t) => {
  const f = await lone(t);
  const [answer, ms] = await timed(chat(f.port, '!say 3 0 tok\n!endless\n!rpc-error thread/read -32600'));
  assert.equal(textOf(answer), 'tok0 tok1 tok2 ');
  assert.ok(ms >= 1900 && ms < 5000, `${ms} ms`);
  await assertWell(f);
});

test('a thread that is still active is waited for, to the deadline', async (t) => {
  const f = await lone(t, { env: { CODEX_IDLE_TIMEOUT_MS: '5000' } });
  const from = f.fake.out.mark;
  const [answer, ms] = await timed(chat(f.port, '!say 3 0 tok\n!endless'));
  assertError(answer, 504, { type: 'server_error', code: 'upstream_timeout' });
  assert.ok(ms >= 4900 && ms < 9000, `${ms} ms`);
  await f.fake.heard('turn/interrupt', from);
  assert.equal(f.fake.count('thread/read'), 2);
  await assertWell(f);
});

test('retries without end: the turn is broken off, and the cause is told', async (t) => {
  const f = await lone(t);
  const retries = '!retry Connection failed: error sending request\n'.repeat(6);
  const answer = await chat(f.port, `${retries}!silence`);
  assertError(answer, 502, { type: 'server_error', code: 'upstream_unreachable', message: /Connection failed/ });
  await f.fake.heard('turn/interrupt');
  const s = stream(f.port, `!part some\n${retries}!silence`);
  assert.equal(await s.end(), 'whole');
  assert.deepEqual([s.content, s.error.code], ['some', 'upstream_unreachable']);
  await assertWell(f);
});

test('retries until the first-event deadline: the cause is told, not silence', async (t) => {
  const f = await lone(t, { env: { CODEX_FIRST_EVENT_TIMEOUT_MS: '300' } });
  const answer = await chat(f.port, '!retry Connection failed: error sending request\n!silence');
  assertError(answer, 502, { type: 'server_error', code: 'upstream_unreachable', message: /Connection failed/ });
  await assertWell(f);
});

const withRetries = (provider) => provider.toml.replace('stream_max_retries = 0', 'stream_max_retries = 1');

test('the real codex tries again after a committed text: the caller sees it once', needsCodex, async (t) => {
  const p = await pair(t, { config: withRetries });
  const s = stream(p.port, '!part said once\n!drop');
  assert.equal(await s.end(), 'whole');
  assert.equal(s.content, 'said once');
  assert.equal(s.error.code, 'stream_disconnected');
  assert.equal(p.provider.requests.length, 2, 'codex has tried twice');
  const answer = await chat(p.port, '!part said once\n!drop');
  assert.equal(answer.status, 502, answer.text);
  await p.assertIdle();
});

test('the real codex, told to try for ever, without a provider: an error soon enough', needsCodex, async (t) => {
  const gone = await freePort();
  const p = await pair(t, {
    config: (provider) => provider.toml.replace(String(provider.port), String(gone))
      .replace('stream_max_retries = 0', 'stream_max_retries = 100'),
    env: { CODEX_FIRST_EVENT_TIMEOUT_MS: '20000' },
  });
  const [answer, ms] = await timed(chat(p.port, 'anybody there?'));
  assertError(answer, 502, { type: 'server_error', code: 'upstream_unreachable' });
  assert.match(answer.json.error.message, /Connection failed|error sending request/);
  assert.ok(!answer.text.includes(String(gone)), 'no address is told');
  assert.ok(ms < 22000, `${ms} ms`);
  await p.assertIdle();
});
