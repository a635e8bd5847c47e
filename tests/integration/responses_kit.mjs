// The Responses API as the wire shows it, with everything that comes judged by the official shapes.
import assert from 'node:assert/strict';
import { Stream, ask, assertShape } from './http_kit.mjs';

const path = '/v1/responses';

// A whole answer: {status, headers, json}.
export async function respond(port, body, options = {}) {
  const answer = await ask(port, { method: 'POST', path, body: JSON.stringify(body), ...options });
  assertShape(answer.status === 200 ? 'Response' : 'ErrorResponse', answer.json);
  return answer;
}

// Each event is of the official shape, their numbers have no gap, and they tell of one response from
// its beginning to its end. Returns the events of the items.
function assertWellFormed(events) {
  events.forEach(({ name, json }, i) => {
    assertShape('ResponseStreamEvent', json);
    assert.equal(name, json.type);
    assert.equal(json.sequence_number, i);
  });
  const told = events.map((e) => e.json);
  const [created, inProgress] = told;
  assert.deepEqual([created.type, inProgress.type], ['response.created', 'response.in_progress']);
  assert.match(told.at(-1).type, /^response\.(completed|incomplete|failed)$/);
  const responses = told.filter((e) => e.response).map((e) => e.response);
  assert.equal(responses.length, 3);
  assert.equal(new Set(responses.map((r) => `${r.id} ${r.created_at}`)).size, 1);
  return told.slice(2, -1).filter((e) => e.type !== 'error');
}

// What the deltas of each item come to is what the item says in the end.
function assertAddsUp(told, output) {
  const added = told.filter((e) => e.type === 'response.output_item.added');
  const done = told.filter((e) => e.type === 'response.output_item.done');
  assert.deepEqual(done.map((e) => e.item), output);
  assert.deepEqual(added.map((e) => [e.output_index, e.item.id]), output.map((item, i) => [i, item.id]));
  output.forEach((item, i) => {
    const its = told.filter((e) => e.output_index === i);
    const deltas = its.filter((e) => e.type.endsWith('.delta')).map((e) => e.delta).join('');
    assert.ok(its.every((e) => (e.item?.id ?? e.item_id) === item.id));
    const said = {
      message: () => item.content.map((part) => part.text ?? part.refusal),
      reasoning: () => item.summary.map((part) => part.text),
      function_call: () => [item.arguments],
      custom_tool_call: () => [item.input],
    }[item.type]();
    assert.equal(deltas, said.join(''));
  });
}

// A stream to its end: {status, headers, events, response}.
export async function respondStream(port, body, options = {}) {
  const s = new Stream(port, JSON.stringify({ ...body, stream: true }), { path, ...options });
  assert.equal(await s.end(), 'whole');
  if (!/event-stream/.test(s.headers['content-type'])) return { status: s.status, headers: s.headers, text: s.rest };
  assert.equal(s.rest, '');
  const events = s.events.all.filter((e) => e.json);
  const told = assertWellFormed(events);
  const { response } = events.at(-1).json;
  if (response.status === 'completed') assertAddsUp(told, response.output);
  return { status: s.status, headers: s.headers, events: events.map((e) => e.json), response };
}

export const textOf = (response) => response.output.filter((item) => item.type === 'message')
  .flatMap((item) => item.content).map((part) => part.text ?? part.refusal).join('');
