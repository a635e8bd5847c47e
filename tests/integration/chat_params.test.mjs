// What the proxy itself adds to Codex: stop, n, json_object, the legacy functions, tool_choice and
// parallel_tool_calls, through the pair and the real codex. Streamed and whole always say the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, assertError, assertShape, chat, stream } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

// The choices that a stream adds up to, as they would stand in a whole answer, and its usage.
function assemble(chunks) {
  const choices = [];
  let usage;
  for (const chunk of chunks) {
    assertShape('CreateChatCompletionStreamResponse', chunk);
    assert.equal(chunk.id, chunks[0].id);
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason } of chunk.choices) {
      const choice = (choices[index] ??= { index, message: {}, finish_reason: null });
      assert.equal(choice.finish_reason, null, 'nothing after the finish of a choice');
      assert.equal(delta.role === undefined, choice.message.role !== undefined, 'the role first, and once');
      const { message } = choice;
      for (const member of ['role', 'content', 'reasoning_content'])
        if (delta[member] !== undefined) message[member] = (message[member] ?? '') + delta[member];
      for (const { index: at, ...call } of delta.tool_calls ?? []) (message.tool_calls ??= [])[at] = call;
      if (delta.function_call) message.function_call = delta.function_call;
      choice.finish_reason = finish_reason;
    }
  }
  assert.ok(choices.every((c) => c.finish_reason !== null));
  return { choices, usage };
}

// Ids differ between two answers; content is null in a whole answer of calls alone.
function comparable({ index, message, finish_reason }) {
  const { role, content, reasoning_content, function_call } = message;
  const calls = message.tool_calls?.map(({ type, function: f }) => ({ type, f }));
  return { index, role, content: content ?? '', reasoning_content, calls, function_call, finish_reason };
}

describe('parameters that the proxy stands in for', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start({ env: { CODEX_MAX_CONCURRENT: '4' } });
  });
  after(() => p?.stop());

  // The answer, asked for whole and streamed.
  async function both(content, more) {
    const whole = await chat(p.port, content, more);
    assert.equal(whole.status, 200, whole.text);
    assertShape('CreateChatCompletionResponse', whole.json);
    const s = stream(p.port, content, { ...more, stream_options: { include_usage: true } });
    assert.equal(await s.end(), 'whole');
    assert.equal(s.events.all.at(-1).data, '[DONE]');
    const streamed = assemble(s.chunks);
    assert.deepEqual(streamed.choices.map(comparable), whole.json.choices.map(comparable));
    return { ...whole.json, streamed, headers: whole.headers };
  }

  // An error, asked for whole and streamed. A stream that has begun ends with it, without a finish.
  async function bothFail(content, more, error) {
    assertError(await chat(p.port, content, more), 502, error);
    const s = stream(p.port, content, more);
    assert.equal(await s.end(), 'whole');
    assert.equal(s.error.code, error.code);
    assert.match(s.error.message, error.message);
    assert.equal(s.chunks.at(-1).error, s.error);
    assert.ok(s.chunks.every((c) => c.error || c.choices[0].finish_reason === null));
    assert.equal(s.events.all.at(-1).data, '[DONE]');
  }

  const text = (answer) => answer.choices[0].message.content;

  describe('stop', () => {
    test('the text ends before the sequence, wherever the deltas are cut', async () => {
      // tok0 tok1 tok2 ...: each sequence lies across deltas
      for (const [stop, expected] of [
        ['tok3', 'tok0 tok1 tok2 '],
        ['2 tok', 'tok0 tok1 tok'],
        [['never', '1 tok2 t'], 'tok0 tok'],
        [['k4', 'k2', 'k3'], 'tok0 tok1 to'],
        ['tok0', ''],
      ]) {
        const answer = await both('!say 6 0 tok', { stop });
        assert.equal(text(answer), expected, stop);
        assert.equal(answer.choices[0].finish_reason, 'stop');
      }
    });

    test('escapes and characters of several bytes are compared as what they mean', async () => {
      assert.equal(text(await both('!say 1 0 a "quoted" end', { stop: '"' })), 'a ');
      assert.equal(text(await both('!say 1 0 a\\nb \\ c', { stop: '\\ ' })), 'a\\nb ');
      assert.equal(text(await both('!say 1 0 ü漢字😀👩‍👩‍👧!', { stop: '👩‍👧' })), 'ü漢字😀👩‍');
      assert.equal(text(await both('!say 2 0 first\n!say 2 0 second', { stop: '\n\n' })), 'first0 first1 ');
    });

    test('without a hit all of the text arrives, and the usage', async () => {
      const answer = await both('!say 3 0 tok', { stop: ['tok2 x', '\n', ' \n'] });
      assert.equal(text(answer), 'tok0 tok1 tok2 ');
      assert.equal(answer.usage.total_tokens, 15);
      assert.deepEqual(answer.streamed.usage, answer.usage);
    });

    test('reasoning and arguments of calls are not looked at', async () => {
      const tools = [{ type: 'function', function: { name: 'f' } }];
      const answer = await both('!reason END of it\n!tool f {"END":1}', { stop: 'END', tools });
      const { message, finish_reason } = answer.choices[0];
      assert.equal(message.reasoning_content, 'END of it');
      assert.equal(message.tool_calls[0].function.arguments, '{"END":1}');
      assert.equal(finish_reason, 'tool_calls');
    });

    test('a hit ends the work upstream', async () => {
      const from = p.provider.out.mark;
      const s = stream(p.port, '!say 5 0 upstream\n!stall', { stop: 'upstream2' });
      assert.equal(await s.end(), 'whole');
      assert.equal(s.content, 'upstream0 upstream1 ');
      const { number } = await p.provider.requestWith('!say 5 0 upstream', from);
      await p.provider.told('aborted', number, from);
    });
  });

  describe('n', () => {
    test('choices come with their index, the usage is that of all', async () => {
      const answer = await both('!say 3 5 tok\n!usage 10 3 5 1', { n: 3 });
      assert.deepEqual(answer.choices.map((c) => [c.index, c.message.content, c.finish_reason]), [
        [0, 'tok0 tok1 tok2 ', 'stop'], [1, 'tok0 tok1 tok2 ', 'stop'], [2, 'tok0 tok1 tok2 ', 'stop'],
      ]);
      const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
      assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [30, 15, 45]);
      assert.deepEqual(answer.streamed.usage, answer.usage);
    });

    test('more choices than slots come all the same', async () => {
      const answer = await both('!say 2 0 tok', { n: 8 });
      assert.equal(answer.choices.length, 8);
      assert.equal(answer.usage.total_tokens, 8 * 15);
    });

    test('choices run at the same time, and are streamed as they come', async () => {
      const from = p.provider.out.mark;
      const s = stream(p.port, '!say 2 0 together\n!stall', { n: 3 });
      const begun = (index) =>
        s.first((e) => e.json?.choices?.[0]?.index === index && e.json.choices[0].delta.content, `choice ${index}`);
      await Promise.all([begun(0), begun(1), begun(2)]); // all of them stall: none has waited for another
      const { json } = await ask(p.port, { path: '/readyz' });
      assert.equal(json.in_flight, 3);
      s.abort();
      const asked = p.provider.requests.filter((r) => r.text.includes('!say 2 0 together'));
      assert.equal(asked.length, 3);
      for (const { number } of asked) await p.provider.told('aborted', number, from);
    });

    test('one that fails fails all', async () => {
      const answer = await chat(p.port, '!status 429 {"error":{"message":"slow down"}}', { n: 3 });
      assert.equal(answer.status, 429, answer.text);
      assertShape('ErrorResponse', answer.json);
    });

    test("the SDK puts all choices together", async () => {
      const messages = [{ role: 'user', content: '!say 3 0 tok' }];
      const helper = p.client.chat.completions.stream({ model: 'gpt-5.5', n: 2, messages });
      const { choices } = await helper.finalChatCompletion();
      assert.deepEqual(choices.map((c) => c.message.content), Array(2).fill('tok0 tok1 tok2 '));
    });

    test('with stop each choice ends by itself', async () => {
      const answer = await both('!say 4 0 tok', { n: 2, stop: 'tok2' });
      assert.deepEqual(answer.choices.map((c) => c.message.content), Array(2).fill('tok0 tok1 '));
    });
  });

  describe('response_format', () => {
    const response_format = { type: 'json_object' };

    test('json_object is asked for in one developer message, and checked', async () => {
      const from = p.provider.out.mark;
      assert.equal(text(await both('!say 1 0 {"a": [1, "ü"]}', { response_format })), '{"a": [1, "ü"]}');
      const { body } = await p.provider.requestWith('!say 1 0 {"a"', from);
      assert.deepEqual(body.input.map((item) => item.role), ['user', 'developer']);
      assert.match(body.input[1].content[0].text, /JSON object/);
      const error = { type: 'server_error', code: 'backend_error', message: /JSON object/ };
      for (const said of ['[1]', 'Sure: {}', '{"a":', '```{}```'])
        await bothFail(`!say 1 0 ${said}`, { response_format }, error);
    });

    test('an object that was cut short is told by its finish_reason', async () => {
      const answer = await both('!say 1 0 {"a":\n!incomplete max_output_tokens', { response_format });
      assert.deepEqual([text(answer), answer.choices[0].finish_reason], ['{"a":', 'length']);
    });

    test('json_schema with name, description and strict', async () => {
      const schema = { type: 'object', properties: {}, additionalProperties: false };
      const json_schema = { name: 'a-name', description: 'What it is.', strict: false, schema };
      const answer = await both('!say 1 0 {}', { response_format: { type: 'json_schema', json_schema } });
      assert.equal(text(answer), '{}');
      assert.equal(answer.headers['x-codex-ignored-params'],
        'response_format.json_schema.description, response_format.json_schema.strict');
    });
  });

  describe('functions and function_call', () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const functions = ['get_weather', 'get_time'].map((name) => ({ name, parameters }));

    test('a call is answered in the legacy shape, the first only', async () => {
      const answer = await both('!tool get_weather {"city": "A"}\n!tool get_time {}', { functions });
      const { message, finish_reason } = answer.choices[0];
      assert.deepEqual(message.function_call, { name: 'get_weather', arguments: '{"city": "A"}' });
      assert.equal(message.tool_calls, undefined);
      assert.equal(finish_reason, 'function_call');
    });

    test('the result goes back as a message of role function', async () => {
      const messages = [{ role: 'user', content: '!tool get_weather {"city":"B"}' }];
      const create = () => p.client.chat.completions.create({ model: 'gpt-5.5', messages, functions });
      messages.push((await create()).choices[0].message);
      messages.push({ role: 'function', name: 'get_weather', content: 'legacy rain' });
      assert.equal((await create()).choices[0].message.content, 'The tool said: legacy rain');
    });

    test('function_call: none offers nothing, a name offers that one and requires it', async () => {
      const from = p.provider.out.mark;
      await both('!say 1 0 legacy none', { functions, function_call: 'none' });
      const none = await p.provider.requestWith('legacy none', from);
      assert.doesNotMatch(none.text, /get_weather|get_time/);
      const named = { functions, function_call: { name: 'get_time' } };
      await both('!tool get_time {"legacy":"named"}', named);
      const one = await p.provider.requestWith('{"legacy":"named"}', from);
      assert.doesNotMatch(one.text, /get_weather/);
      await bothFail('!say 1 0 no', named, { type: 'server_error', code: 'backend_error', message: /call/ });
    });
  });

  describe('tool_choice and parallel_tool_calls', () => {
    const tools = ['get_weather', 'get_time'].map((name) => ({ type: 'function', function: { name } }));
    const offered = (request) => ['get_weather', 'get_time'].filter((name) => request.text.includes(name));
    const asked = async (marker, from) => {
      const request = await p.provider.requestWith(marker, from);
      return { offered: offered(request), last: request.body.input.at(-1) };
    };

    test('none: nothing is offered, and nothing said about it', async () => {
      const from = p.provider.out.mark;
      assert.equal(text(await both('!say 1 0 choice none', { tools, tool_choice: 'none' })), 'choice none');
      const request = await asked('choice none', from);
      assert.deepEqual([request.offered, request.last.role], [[], 'user']);
    });

    test('required: asked for in one developer message, and an error without a call', async () => {
      const from = p.provider.out.mark;
      const answer = await both('!tool get_time {"choice":"required"}', { tools, tool_choice: 'required' });
      assert.equal(answer.choices[0].finish_reason, 'tool_calls');
      const request = await asked('choice', from);
      assert.deepEqual(request.offered, ['get_weather', 'get_time']);
      assert.equal(request.last.role, 'developer');
      await bothFail('!say 1 0 no', { tools, tool_choice: 'required' }, {
        type: 'server_error', code: 'backend_error', message: /tool_choice/,
      });
    });

    test('a function by name is the only one that is offered', async () => {
      const from = p.provider.out.mark;
      const tool_choice = { type: 'function', function: { name: 'get_weather' } };
      const answer = await both('!tool get_weather {"choice":"by name"}', { tools, tool_choice });
      assert.equal(answer.choices[0].message.tool_calls[0].function.name, 'get_weather');
      const request = await asked('by name', from);
      assert.deepEqual([request.offered, request.last.role], [['get_weather'], 'developer']);
    });

    test('parallel_tool_calls false: the first call only, in each choice', async () => {
      const directive = '!tool get_weather {"n":1}\n!tool get_time {"n":2}';
      const answer = await both(directive, { tools, parallel_tool_calls: false, n: 2 });
      for (const { message } of answer.choices)
        assert.deepEqual(message.tool_calls.map((c) => c.function.arguments), ['{"n":1}']);
      const all = await both(directive, { tools });
      assert.equal(all.choices[0].message.tool_calls.length, 2);
    });
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});
