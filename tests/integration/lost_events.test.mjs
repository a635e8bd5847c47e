// An app-server that loses, doubles and swaps each kind of event in turn, and hangs up at each
// step: no request outlives its deadline, none hears what is another's, nothing stays behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertShape, assertWellFormed, chat, stream } from './http_kit.mjs';
import { assertWell, lone } from './pair_kit.mjs';
import { until } from './supervisor_kit.mjs';

// The longest that a request may take: 2 s to ask for a lost end, 3 s of silence, and some.
const IDLE_MS = 3000;
const LIMIT_MS = 9000;
const env = {
  CODEX_FIRST_EVENT_TIMEOUT_MS: '1500',
  CODEX_IDLE_TIMEOUT_MS: String(IDLE_MS),
  CODEX_PROXY_TIMEOUT_MS: '8000',
  CODEX_MAX_CONCURRENT: '200',
  CODEX_MAX_QUEUE_DEPTH: '200',
};

const events = [
  'turn/start', // the answer of it
  'turn/started',
  'item/started',
  'item/agentMessage/delta',
  'item/reasoning/summaryTextDelta',
  'rawResponseItem/completed',
  'rawResponse/completed',
  'thread/tokenUsage/updated',
  'turn/completed',
];
const edits = ['lose', 'double', 'swap'];

// What a request asks for, and whether an answer to it is right.
const kinds = {
  text: {
    ask: (id) => `!reason thinks${id}\n!say 3 1 t${id}-`,
    isRight: (message, id) => message.content === `t${id}-0 t${id}-1 t${id}-2 `,
    isOwn: (text, id) => text.replaceAll(new RegExp(`t${id}-\\d `, 'g'), '') === '',
  },
  tool: {
    ask: (id) => `!tool f${id} {"id":${id}}`,
    isRight: (message, id) => message.tool_calls?.length === 1 && message.tool_calls[0].function.name === `f${id}`
      && message.tool_calls[0].function.arguments === `{"id":${id}}`,
    isOwn: (text) => text === '',
  },
  failure: {
    ask: (id) => `!fail "contextWindowExceeded" too long ${id}`,
    isRight: () => false,
    isOwn: (text) => text === '',
  },
};

// Deltas are not numbered: nobody can see that one comes twice, or late.
const unseen = (edit, event) => event === 'item/agentMessage/delta' && edit !== 'lose';

function check(what, kind, id, { status, message, error, cut }) {
  assert.ok(!cut, `${what}: cut`);
  if (error) {
    assert.ok(status === 200 || status >= 400, what);
    assert.ok(error.code && error.message, `${what}: ${JSON.stringify(error)}`);
    assert.ok(kind.isOwn(message?.content ?? '', id), `${what}: ${message?.content}`);
    return 'error';
  }
  assert.equal(status, 200, what);
  assert.ok(kind.isRight(message, id), `${what}: ${JSON.stringify(message)}`);
  return 'right';
}

async function whole(port, text) {
  const { status, json } = await chat(port, text);
  if (json.error) assertShape('ErrorResponse', json);
  return { status, error: json.error, message: json.choices?.[0].message };
}

async function streamed(port, text) {
  const s = stream(port, text);
  const cut = (await s.end()) === 'cut';
  if (s.status !== 200) return { status: s.status, error: JSON.parse(s.rest).error };
  if (s.error) return { status: 200, error: s.error, message: { content: s.content }, cut };
  assertWellFormed(s.chunks);
  const calls = s.chunks.flatMap((c) => c.choices[0]?.delta.tool_calls ?? []);
  const tool_calls = calls.filter((c) => c.function.name).map((first) => ({
    function: {
      name: first.function.name,
      arguments: calls.filter((c) => c.index === first.index).map((c) => c.function.arguments ?? '').join(''),
    },
  }));
  return { status: 200, message: { content: s.content, tool_calls }, cut };
}

let ids = 100;

// One request, with its deadline. Returns 'right' or 'error'.
async function one(f, way, kindName, directives, label, more = {}) {
  const kind = { ...kinds[kindName], ...more };
  const id = ids++;
  const what = `${label} of ${kindName}, ${way === whole ? 'whole' : 'stream'}`;
  const begin = Date.now();
  const answer = await way(f.port, `${kind.ask(id)}\n${directives}`);
  assert.ok(Date.now() - begin < LIMIT_MS, `${what} took ${Date.now() - begin} ms`);
  return check(what, kind, id, answer);
}

async function assertIdle(f) {
  await until(async () => {
    const { json } = await f.proxy.readyz();
    return json.in_flight + json.queued === 0;
  }, 'no request to be left');
  await assertWell(f);
}

test('each kind of event lost, doubled, swapped with the next: all at once', async (t) => {
  const f = await lone(t, { env });
  const results = await Promise.all(edits.flatMap((edit) => events.flatMap((event) =>
    Object.keys(kinds).flatMap((kind) => [whole, streamed].map(async (way) => {
      const isRight = unseen(edit, event) && kind === 'text' ? { isRight: (m, id) => m.content.includes(`t${id}-2`) } : {};
      const result = await one(f, way, kind, `!event ${edit} ${event}`, `${edit} ${event}`, isRight);
      return { what: `${edit} ${event} of ${kind}`, kind, result };
    })))));
  // a text is told in more than one way, and so is its end: either may be lost
  for (const { what, kind, result } of results) {
    if (kind === 'text' || what.startsWith('double')) assert.equal(result, kind === 'failure' ? 'error' : 'right', what);
  }
  await assertIdle(f);
});

test('all ends lost: nothing is waited for beyond its time', async (t) => {
  const f = await lone(t, { env });
  const lost = ['!lost-all', '!endless', '!lost-completed', '!endless\n!mute thread/read',
    '!endless\n!rpc-error thread/read -32600', '!lost-completed\n!mute turn/interrupt', '!mute thread/unsubscribe'];
  await Promise.all(lost.flatMap((directives) => [whole, streamed].map((way) =>
    one(f, way, 'text', directives, directives.replace('\n', ' ')))));
  await until(async () => (await f.proxy.readyz()).json.in_flight === 0, 'no request to be left');
  assert.equal((await chat(f.port, '!say 1 0 well')).json.choices[0].message.content, 'well');
});

// Each of them breaks every turn of the connection, so one after the other.
test('the connection drops at each step of a turn, with others under way', async (t) => {
  const f = await lone(t, { env });
  const calls = ['thread/start', 'thread/inject_items', 'turn/start'];
  for (const call of calls) {
    await f.fake.order(`cut ${call} 1`);
    const answers = await Promise.all(Object.keys(kinds).map((kind) => one(f, whole, kind, '', `cut at ${call}`)));
    assert.deepEqual(answers, ['right', 'right', 'error'], `${call}: what had sent nothing begins again`);
  }
  for (const event of events) {
    const bystander = one(f, whole, 'text', '', `beside cut at ${event}`);
    assert.equal(await one(f, whole, 'text', `!event cut ${event}`, `cut at ${event}`), 'right', event);
    assert.equal(await bystander, 'right', event);
    const committed = events.indexOf(event) >= events.indexOf('item/agentMessage/delta');
    const isWhole = events.indexOf(event) > events.indexOf('rawResponse/completed');
    const result = await one(f, streamed, 'text', `!event cut ${event}`, `cut at ${event}`);
    if (!committed || isWhole) assert.equal(result, 'right', event);
  }
  for (const call of ['turn/interrupt', 'thread/unsubscribe', 'thread/read']) {
    await f.fake.order(`cut ${call} 1`);
    const directives = call === 'thread/read' ? '!endless' : '';
    assert.equal(await one(f, whole, call === 'turn/interrupt' ? 'tool' : 'text', directives, `cut at ${call}`), 'right');
    await until(async () => (await f.proxy.readyz()).status === 200, 'the proxy to be ready');
  }
  await assertIdle(f);
});

test('the connection drops again and again under load: nobody hears what is another\'s', async (t) => {
  const f = await lone(t, { env });
  let stop = false;
  const counts = { right: 0, error: 0 };
  const workers = Promise.all(Array.from({ length: 20 }, async (_, w) => {
    const names = Object.keys(kinds);
    for (let i = w; !stop; i++)
      counts[await one(f, i % 2 ? whole : streamed, names[i % names.length], '', 'under load')]++;
  }));
  for (let i = 0; i < 10; i++) {
    const { right } = counts;
    await until(() => counts.right >= right + 20, 'some to be served');
    await f.fake.order('drop');
  }
  stop = true;
  await workers;
  assert.ok(counts.right >= 200, JSON.stringify(counts));
  await assertIdle(f);
});
