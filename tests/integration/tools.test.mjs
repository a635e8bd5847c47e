// Function calling by the official SDK, through the pair and the real codex.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertShape, assertWellFormed } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

describe('function calling', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start();
  });
  after(() => p?.stop());

  const parameters = {
    type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false,
  };
  const tool = (name) => ({ type: 'function', function: { name, description: `About ${name}.`, parameters } });
  const tools = [tool('get_weather'), tool('get_time')];
  const create = (messages, more) =>
    p.client.chat.completions.create({ model: 'gpt-5.5', messages, tools, ...more });
  const user = (content) => [{ role: 'user', content }];

  async function streamed(messages, more) {
    const chunks = [];
    for await (const chunk of await create(messages, { stream: true, ...more })) chunks.push(chunk);
    return chunks;
  }

  // Requests that reached the model while fn ran.
  async function upstreamRequests(fn) {
    const before = p.provider.requests.length;
    const value = await fn();
    return [value, p.provider.requests.slice(before)];
  }

  test('one call: its id, name and the raw arguments; and the model is asked once', async () => {
    const [answer, requests] = await upstreamRequests(() =>
      create(user('!tool get_weather {"city": "Paris",  "n": 1.50}\n!usage 30 0 12 4')));
    assertShape('CreateChatCompletionResponse', answer);
    const [{ message, finish_reason }] = answer.choices;
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.content, null);
    assert.equal(message.tool_calls.length, 1);
    const [call] = message.tool_calls;
    assert.equal(call.type, 'function');
    assert.match(call.id, /^call_/);
    assert.deepEqual(call.function, { name: 'get_weather', arguments: '{"city": "Paris",  "n": 1.50}' });
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [30, 12]);
    assert.equal(answer.usage.completion_tokens_details.reasoning_tokens, 4);
    assert.equal(requests.length, 1);
    await p.assertIdle();
    assert.equal(p.provider.requests.at(-1), requests[0], 'no request is wasted later either');
  });

  const parallel = '!say 1 0 Let me look.\n!tool get_weather {"city":"A"}\n!tool get_time {"city":"B"}\n!tool get_weather {"city":"C"}';

  test('parallel calls keep the order of the model, each with its own id', async () => {
    const { message, finish_reason } = (await create(user(parallel))).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.content, 'Let me look.');
    assert.deepEqual(
      message.tool_calls.map((c) => [c.function.name, c.function.arguments]),
      [['get_weather', '{"city":"A"}'], ['get_time', '{"city":"B"}'], ['get_weather', '{"city":"C"}']],
    );
    assert.equal(new Set(message.tool_calls.map((c) => c.id)).size, 3);
  });

  test('streamed: the text, then each call with its index, then the finish and the usage', async () => {
    const chunks = await streamed(user(parallel), { stream_options: { include_usage: true } });
    assert.equal(assertWellFormed(chunks, { usage: true }), 'Let me look.');
    const calls = chunks.flatMap((c) => c.choices[0]?.delta.tool_calls ?? []);
    assert.deepEqual(calls.map((c) => [c.index, c.type, c.function.name]), [
      [0, 'function', 'get_weather'], [1, 'function', 'get_time'], [2, 'function', 'get_weather'],
    ]);
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'tool_calls');
    assert.equal(chunks.at(-1).usage.total_tokens, 15);
  });

  test('the results reach the model as the outputs of its calls', async () => {
    const messages = user(parallel.replace('Let me look.', 'About the results.'));
    const { message } = (await create(messages)).choices[0];
    messages.push(message);
    message.tool_calls.forEach((call, i) => {
      const content = i === 1 ? [{ type: 'text', text: 'noon' }] : `sunny ${i}`;
      messages.push({ role: 'tool', tool_call_id: call.id, content });
    });
    const [answer, requests] = await upstreamRequests(() => create(messages));
    assert.equal(answer.choices[0].message.content, 'The tool said: sunny 0, noon, sunny 2');
    assert.equal(requests.length, 1);
    const items = requests[0].body.input.filter((item) => item.type !== 'additional_tools');
    assert.deepEqual(items.map((item) => item.type), [
      'message', 'message', 'function_call', 'function_call', 'function_call',
      'function_call_output', 'function_call_output', 'function_call_output',
    ]);
    message.tool_calls.forEach((call, i) => {
      assert.equal(items[2 + i].call_id, call.id);
      assert.equal(items[2 + i].name, call.function.name);
      assert.equal(items[2 + i].arguments, call.function.arguments);
      assert.equal(items[5 + i].call_id, call.id);
    });
    assert.equal(items[5].output, 'sunny 0');
  });

  test("the SDK's tool loop comes to its end", async () => {
    const asked = [];
    const runner = p.client.chat.completions.runTools({
      model: 'gpt-5.5',
      messages: user('!tool get_weather {"city":"Rome"}'),
      stream: true,
      tools: [{
        type: 'function',
        function: {
          name: 'get_weather',
          parameters,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return `rain in ${city}`;
          },
        },
      }],
    });
    assert.equal(await runner.finalContent(), 'The tool said: rain in Rome');
    assert.deepEqual(asked, ['Rome']);
  });

  test('arguments that are not JSON, and a tool nobody offered: as the model said it', async () => {
    const [answer, requests] = await upstreamRequests(() =>
      create(user('!tool get_weather {"city": oops\n!tool no_such_tool {}')));
    assert.deepEqual(
      answer.choices[0].message.tool_calls.map((c) => [c.function.name, c.function.arguments]),
      [['get_weather', '{"city": oops'], ['no_such_tool', '{}']],
    );
    assert.equal(requests.length, 1);
  });

  test('the model is offered the caller\'s tools and no other', async () => {
    const [, [request]] = await upstreamRequests(() => create(user('!say 1 0 no need')));
    const additional = request.body.input.filter((item) => item.type === 'additional_tools');
    const offered = [...(request.body.tools ?? []), ...additional.flatMap((item) => item.tools)]
      .flatMap((t) => (t.type === 'namespace' ? t.tools : [t]));
    assert.deepEqual(offered.map((t) => t.name), ['get_weather', 'get_time']);
    assert.equal(offered[0].description, 'About get_weather.');
    assert.deepEqual(offered[0].parameters, parameters);
  });

  test('tool_choice none offers nothing; a function by name offers that one', async () => {
    const named = { type: 'function', function: { name: 'get_time' } };
    const [, [none, one]] = await upstreamRequests(async () => {
      await create(user('!say 1 0 no tools'), { tool_choice: 'none' });
      await create(user('!tool get_time {"city":"X"}'), { tool_choice: named });
    });
    assert.doesNotMatch(none.text, /get_weather|get_time/);
    assert.doesNotMatch(one.text, /get_weather/);
    await assert.rejects(create(user('!say 1 0 no'), { tool_choice: 'required' }), { status: 502 });
  });

  test('parallel_tool_calls false: the first call only', async () => {
    const { message } = (await create(user(parallel), { parallel_tool_calls: false })).choices[0];
    assert.deepEqual(message.tool_calls.map((c) => c.function.arguments), ['{"city":"A"}']);
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});
