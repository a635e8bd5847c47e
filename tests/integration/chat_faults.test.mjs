// Several choices, and stop sequences, in front of an app-server that goes away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertShape, chat, stream } from './http_kit.mjs';
import { lone, noThreadIsLoaded } from './pair_kit.mjs';
import { until } from './supervisor_kit.mjs';

// The next request is served, and nothing is left on either side.
async function assertWell({ fake, proxy, port }) {
  const answer = await chat(port, '!say 1 0 well', { n: 2 });
  assert.deepEqual(answer.json.choices.map((c) => c.message.content), ['well', 'well'], answer.text);
  await noThreadIsLoaded(fake.url);
  const { json } = await proxy.readyz();
  assert.equal(json.in_flight + json.queued, 0);
}

const begun = (s, index) =>
  s.first((e) => e.json?.choices?.[0]?.index === index && e.json.choices[0].delta.content, `choice ${index}`);

test('the connection drops in the middle of a stream of choices: one error, one end', async (t) => {
  const f = await lone(t);
  const s = stream(f.port, '!say 1 0 some\n!silence', { n: 3 });
  await Promise.all([begun(s, 0), begun(s, 1), begun(s, 2)]);
  await f.fake.order('drop');
  assert.equal(await s.end(), 'whole');
  const errors = s.chunks.filter((c) => c.error);
  assert.equal(errors.length, 1);
  assertShape('ErrorResponse', errors[0]);
  assert.equal(errors[0].error.code, 'backend_lost');
  assert.equal(s.chunks.at(-1), errors[0]);
  assert.deepEqual(s.events.all.filter((e) => e.data === '[DONE]'), [s.events.all.at(-1)]);
  await assertWell(f);
});

test('choices of which nothing has been sent begin again, each by itself', async (t) => {
  const f = await lone(t);
  await f.fake.order('mute turn/start 3');
  const whole = chat(f.port, '!say 2 0 tok', { n: 3, stop: 'k1' });
  await until(async () => f.fake.count('turn/start') === 3, 'three turns');
  await f.fake.order('drop');
  const { status, json, text } = await whole;
  assert.equal(status, 200, text);
  assert.deepEqual(json.choices.map((c) => c.message.content), Array(3).fill('tok0 to'));
  assert.equal(f.fake.count('turn/start'), 6);
  await assertWell(f);
});

test('a client that leaves ends all of its choices, running and waiting', async (t) => {
  const f = await lone(t, { env: { CODEX_MAX_CONCURRENT: '2' } });
  const s = stream(f.port, '!say 1 0 some\n!silence', { n: 5 });
  await Promise.all([begun(s, 0), begun(s, 1)]);
  const { json } = await f.proxy.readyz();
  assert.deepEqual([json.in_flight, json.queued], [2, 3]);
  s.abort();
  await assertWell(f); // finds a slot only when theirs are free
  assert.equal(f.fake.count('turn/interrupt'), 2);
  assert.equal(f.fake.count('turn/start'), 4); // none of those that waited was begun
});
