// Responses through the pair and the real codex: what the caller gets, what the model gets, and what
// can be asked later.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { API_KEY, Stream, ask, assertError, assertShape } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { respond, respondStream, textOf } from './responses_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

const OTHER_KEY = 'sk-another-key-of-the-pair';
const SMALL_PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

describe('responses', needsCodex, () => {
  let p, dir;
  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'responses-'));
    const keys = path.join(dir, 'keys');
    fs.writeFileSync(keys, `${OTHER_KEY}\n`, { mode: 0o600 });
    p = await Pair.start({ env: { CODEX_MODEL_ALIASES: 'gpt-4o=gpt-5.5', CODEX_PROXY_API_KEYS_FILE: keys } });
  });
  after(async () => {
    await p?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const both = async (body) => [await respond(p.port, body), await respondStream(p.port, body)];
  const f = { type: 'function', name: 'f', parameters: { type: 'object', properties: {} } };
  const model = 'gpt-5.5';

  // What the model got for a request that says this, as codex sent it.
  async function upstream(said, body) {
    const from = p.provider.out.mark;
    const answer = await respond(p.port, body);
    assert.equal(answer.status, 200, answer.text);
    const { body: sent } = await p.provider.requestWith(said, from);
    return { answer, sent, input: sent.input.map(({ id, ...item }) => item) };
  }

  test('whole and streamed: text, reasoning, calls; each event and response of the official shape', async () => {
    const input = '!reason Let me see.\n!say 2 0 word\n!tool f {"a": 1}\n!usage 1234 1000 56 7';
    for (const { response, json = response, status } of await both({
      model: 'gpt-4o', input, tools: [f], include: ['reasoning.encrypted_content'],
      metadata: { for: 'the test' }, instructions: 'Be brief.', user: 'u', reasoning: { summary: 'auto' },
    })) {
      assert.equal(status, 200);
      assert.equal(json.status, 'completed');
      assert.equal(json.model, 'gpt-5.5');
      assert.deepEqual(json.output.map(({ id, call_id, ...item }) => item), [
        { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Let me see.' }], encrypted_content: 'c2VjcmV0' },
        {
          type: 'message', status: 'completed', role: 'assistant',
          content: [{ type: 'output_text', annotations: [], logprobs: [], text: 'word0 word1 ' }],
        },
        { type: 'function_call', name: 'f', arguments: '{"a": 1}', status: 'completed' },
      ]);
      assert.deepEqual(json.usage, {
        input_tokens: 1234, input_tokens_details: { cached_tokens: 1000, cache_write_tokens: 0 },
        output_tokens: 56, output_tokens_details: { reasoning_tokens: 7 }, total_tokens: 1290,
      });
      assert.deepEqual(
        [json.metadata, json.instructions, json.user, json.reasoning, json.store, json.error],
        [{ for: 'the test' }, 'Be brief.', 'u', { effort: 'medium', summary: 'auto' }, true, null],
      );
    }
  });

  test('the model gets the items of the caller, each with its role, and nothing else', async () => {
    const { sent, input } = await upstream('what is it', {
      model, instructions: 'Be brief.', reasoning: { effort: 'high', summary: 'detailed' }, text: { verbosity: 'high' },
      service_tier: 'priority', tools: [f],
      input: [
        { role: 'system', content: 'You are.' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'first' }, { type: 'input_image', image_url: SMALL_PNG, detail: 'original' }] },
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'c2VjcmV0' },
        { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', phase: 'commentary', content: [{ type: 'output_text', text: 'on it', annotations: [] }] },
        { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'f', arguments: '{"a": 0.1}', status: 'completed' },
        { type: 'custom_tool_call', call_id: 'c2', name: 'x', input: 'free "text"' },
        { type: 'function_call_output', call_id: 'c1', output: 'out' },
        { type: 'custom_tool_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'out 2' }] },
        { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
        { role: 'user', content: '!say 1 0 what is it' },
      ],
    });
    assert.deepEqual([sent.reasoning.effort, sent.reasoning.summary, sent.text.verbosity, sent.service_tier], ['high', 'detailed', 'high', 'priority']);
    const text = (type, said) => [{ type, text: said }];
    assert.deepEqual(input, [
      { type: 'message', role: 'developer', content: text('input_text', 'Be brief.') },
      { type: 'message', role: 'developer', content: text('input_text', 'You are.') },
      { type: 'message', role: 'user', content: [...text('input_text', 'first'), { type: 'input_image', image_url: SMALL_PNG, detail: 'original' }] },
      { type: 'reasoning', summary: text('summary_text', 'hm'), content: null, encrypted_content: 'c2VjcmV0' },
      { type: 'message', role: 'assistant', content: text('output_text', 'on it'), phase: 'commentary' },
      { type: 'function_call', name: 'f', arguments: '{"a": 0.1}', call_id: 'c1' },
      { type: 'function_call', name: 'x', arguments: '{"input":"free \\"text\\""}', call_id: 'c2' },
      { type: 'function_call_output', call_id: 'c1', output: 'out' },
      { type: 'function_call_output', call_id: 'c2', output: text('input_text', 'out 2') },
      { type: 'message', role: 'assistant', content: text('output_text', 'no') },
      { type: 'message', role: 'user', content: text('input_text', '!say 1 0 what is it') },
    ]);
  });

  const spaces = [
    { type: 'namespace', name: 'functions', description: 'plain', tools: [{ type: 'custom', name: 'run', description: 'Runs.', format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' } }] },
    { type: 'namespace', name: 'clock', description: 'Clocks.', tools: [{ type: 'function', name: 'wait', parameters: { type: 'object', properties: {} }, strict: true }] },
  ];
  for (const other of ['gpt-5.5', 'gpt-6.1-sol'])
    test(`custom tools and namespaces are called by the caller's names: ${other}`, async () => {
      const input = '!tool run {"input":"ls -l\\n"}\n!tool wait {}';
      for (const { response, json = response, headers } of await both({ model: other, input, tools: spaces })) {
        assert.equal(headers['x-codex-ignored-params'], 'tools.strict');
        const [call, wait] = json.output;
        assert.deepEqual([call.type, call.namespace, call.name, call.input], ['custom_tool_call', 'functions', 'run', 'ls -l\n']);
        assert.deepEqual([wait.type, wait.name], ['function_call', 'wait']);
      }
      const { sent } = await upstream('offered as', { model: other, input: '!say 1 0 offered as', tools: spaces });
      const tools = sent.tools ?? sent.input.find((item) => item.type === 'additional_tools').tools[0].tools;
      const [run] = tools;
      assert.deepEqual([run.type, run.name, run.parameters.required], ['function', 'run', ['input']]);
      assert.match(run.description, /^Runs\..*grammar \(lark\):\nstart: "x"$/s);
    });

  test('previous_response_id: the conversation goes on, with its reasoning; the instructions do not', async () => {
    const first = (await respond(p.port, { model, instructions: 'once', input: '!reason hm\n!tool f {}', tools: [f] })).json;
    const [reasoning, call] = first.output;
    assert.equal(reasoning.encrypted_content, undefined);
    const output = { type: 'function_call_output', call_id: call.call_id, output: 'found it' };
    const { answer: { json: second }, input } = await upstream('found it', { model, previous_response_id: first.id, input: [output] });
    assert.equal(second.previous_response_id, first.id);
    assert.equal(textOf(second), 'The tool said: found it');
    assert.deepEqual(input.map((item) => item.type), ['message', 'reasoning', 'function_call', 'function_call_output']);
    assert.equal(input[1].encrypted_content, 'c2VjcmV0');
    const { input: third } = await upstream('and then', { model, previous_response_id: second.id, input: '!say 1 0 and then' });
    assert.equal(third.length, 6);
    assert.deepEqual(third[4].content, [{ type: 'output_text', text: 'The tool said: found it' }]);
  });

  test('item_reference: an item of an earlier response by its id', async () => {
    const first = (await respond(p.port, { model, input: '!reason hm\n!tool f {}', tools: [f] })).json;
    const output = { type: 'function_call_output', call_id: first.output[1].call_id, output: 'refers to it' };
    const references = first.output.map(({ id }) => ({ type: 'item_reference', id }));
    const { input } = await upstream('refers to it', { model, input: [{ role: 'user', content: 'q' }, ...references, output] });
    assert.deepEqual(input.map((item) => item.type), ['message', 'reasoning', 'function_call', 'function_call_output']);
    const unknown = await respond(p.port, { input: [{ type: 'item_reference', id: 'msg_nope_0' }] });
    assertError(unknown, 404, { type: 'invalid_request_error', code: 'item_not_found', param: 'input[0].id' });
  });

  test('a response can be got and deleted, by the key that made it only; store: false keeps none', async () => {
    const made = (await respond(p.port, { model, input: '!say 1 0 kept' })).json;
    const at = (id, method = 'GET', key = API_KEY) => ask(p.port, { method, path: `/v1/responses/${id}`, key });
    const got = await at(made.id);
    assert.deepEqual([got.status, got.json], [200, made]);
    assertShape('Response', got.json);
    for (const method of ['GET', 'DELETE']) assert.equal((await at(made.id, method, OTHER_KEY)).status, 404);
    const going = { model, previous_response_id: made.id, input: 'x' };
    assertError(await respond(p.port, going, { key: OTHER_KEY }), 404, {
      type: 'invalid_request_error', code: 'previous_response_not_found', param: 'previous_response_id',
    });
    const cancelled = await ask(p.port, { method: 'POST', path: `/v1/responses/${made.id}/cancel`, body: '' });
    assertError(cancelled, 400, { type: 'invalid_request_error', code: null, message: /background/ });
    assert.deepEqual((await at(made.id, 'DELETE')).json, { id: made.id, object: 'response', deleted: true });
    assert.equal((await at(made.id)).status, 404);
    assert.equal((await respond(p.port, going)).status, 404);
    const unkept = (await respond(p.port, { model, input: '!say 1 0 x', store: false })).json;
    assert.equal(unkept.store, false);
    assert.equal((await at(unkept.id)).status, 404);
    const streamed = (await respondStream(p.port, { model, input: '!say 1 0 kept as well' })).response;
    assert.deepEqual((await at(streamed.id)).json, streamed);
  });

  test('json_schema reaches the model; json_object is asked for, and checked', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false };
    const format = { type: 'json_schema', name: 'n', schema, strict: true };
    const { sent, answer } = await upstream('{"a"', { model, input: '!say 1 0 {"a":"x"}', text: { format } });
    assert.deepEqual(sent.text.format.schema, schema);
    assert.deepEqual(answer.json.text.format, format);
    const object = { format: { type: 'json_object' } };
    assert.equal((await respond(p.port, { model, input: '!say 1 0 {}', text: object })).status, 200);
    const broken = await respond(p.port, { model, input: '!say 1 0 no object', text: object });
    assertError(broken, 502, { type: 'server_error', code: 'backend_error', message: /text\.format/ });
  });

  test('an answer that the provider cuts is incomplete', async () => {
    for (const { response, json = response } of await both({ model, input: '!say 1 0 half\n!incomplete max_output_tokens' })) {
      assert.deepEqual([json.status, json.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
      assert.equal(textOf(json), 'half');
    }
  });

  test('failures: a status before the stream, an error and response.failed in it', async () => {
    const failing = '!failed rate_limit_exceeded slow down';
    assert.equal((await respond(p.port, { model, input: failing })).status, 429);
    assert.equal((await respondStream(p.port, { model, input: '!status 404 {"error":{"message":"no"}}' })).status, 404);
    const { events, response } = await respondStream(p.port, { model, input: `!say 1 0 begun\n${failing}` });
    assert.deepEqual(events.slice(-2).map((e) => e.type), ['error', 'response.failed']);
    assert.equal(events.at(-2).code, 'rate_limit_exceeded');
    assert.equal(response.error.code, 'rate_limit_exceeded');
    const nobody = await respond(p.port, { input: 'x', model: 'no-such-model' });
    assertError(nobody, 404, { type: 'invalid_request_error', code: 'model_not_found', param: 'model' });
    const hosted = await respond(p.port, { model, input: 'x', tools: [f, { type: 'web_search' }] });
    assertError(hosted, 400, { type: 'invalid_request_error', code: 'unsupported_value', param: 'tools[1].type', message: /web_search/ });
  });

  test('a client that goes away ends its turn at the provider', async () => {
    const from = p.provider.out.mark;
    const s = new Stream(p.port, JSON.stringify({ model, stream: true, input: '!say 1000 20 gone' }), { path: '/v1/responses' });
    await s.first((e) => e.json?.type === 'response.output_text.delta', 'a delta');
    const { number } = await p.provider.requestWith('gone', from);
    s.abort();
    await p.provider.told('aborted', number, from);
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});
