// The official SDK's own loops hold a conversation with tools, through the pair and the real codex.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { zodFunction } from 'openai/helpers/zod';
import { z } from 'zod';
import { openai } from './pair_kit.mjs';
import {
  ANSWER, DESCRIPTIONS, MODEL, QUESTION, ROUNDS, SECOND_ANSWER, SECOND_QUESTION, SteppingPair, functions, parameters,
} from './sdk_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

describe('the official SDK', needsCodex, () => {
  let p, client;
  before(async () => {
    p = await SteppingPair.start();
    client = openai(p.pair.port);
  });
  after(() => p?.stop());

  const user = (content) => ({ role: 'user', content });
  const declared = Object.keys(functions).map((name) => ({
    type: 'function', function: { name, description: DESCRIPTIONS[name], parameters },
  }));
  const runnable = declared.map(({ type, function: f }) => ({
    type, function: { ...f, parse: JSON.parse, function: functions[f.name] },
  }));

  for (const stream of [false, true])
    test(`the tool runner, ${stream ? 'streamed' : 'whole answers'}: two questions, three calls`, async () => {
      const messages = [];
      const ask = async (question) => {
        messages.push(user(question));
        const runner = client.chat.completions.runTools({ model: MODEL, messages: [...messages], tools: runnable, stream });
        const heard = { content: '', calls: [], results: [] };
        if (stream) runner.on('content', (delta) => (heard.content += delta));
        else runner.on('content', (content) => (heard.content += content));
        runner.on('functionToolCall', (call) => heard.calls.push(call.arguments));
        runner.on('functionToolCallResult', (result) => heard.results.push(result));
        const answer = await runner.finalContent();
        messages.splice(0, messages.length, ...runner.messages);
        return { answer, heard, usage: await runner.totalUsage(), last: await runner.finalChatCompletion() };
      };

      const [first, asked] = await p.during(() => ask(QUESTION));
      assert.equal(first.answer, ANSWER);
      assert.equal(first.heard.content, `Let me see.${ANSWER}`);
      assert.deepEqual(first.heard.calls, ['{"city":"Paris"}', '{"city":"Oslo"}', '{"city":"Oslo"}']);
      assert.deepEqual(first.heard.results, [
        functions.get_weather({ city: 'Paris' }), functions.get_weather({ city: 'Oslo' }), 'noon in Oslo',
      ]);
      assert.equal(first.last.choices[0].finish_reason, 'stop');
      assert.deepEqual(asked, ROUNDS[0]);
      if (!stream) assert.equal(first.usage.total_tokens, 3 * 15);

      const [second, askedAgain] = await p.during(() => ask(SECOND_QUESTION));
      assert.equal(second.answer, SECOND_ANSWER);
      assert.deepEqual(second.heard.calls, ['{"city":"Rome"}']);
      assert.deepEqual(askedAgain, ROUNDS[1]);
    });

  test('the stream helper: the events of text and calls, and the message that goes on', async () => {
    const messages = [user(QUESTION)];
    const heard = { text: '', done: [], deltas: {} };
    const answered = async () => {
      const stream = client.chat.completions.stream({
        model: MODEL, messages, tools: declared, stream_options: { include_usage: true },
      });
      stream.on('content.delta', ({ delta }) => (heard.text += delta));
      stream.on('tool_calls.function.arguments.delta', ({ index, arguments_delta }) => {
        heard.deltas[index] = (heard.deltas[index] ?? '') + arguments_delta;
      });
      stream.on('tool_calls.function.arguments.done', (call) => heard.done.push([call.index, call.name, call.arguments]));
      const { choices: [{ message, finish_reason }], usage } = await stream.finalChatCompletion();
      assert.equal(usage.total_tokens, 15);
      messages.push(message);
      for (const call of message.tool_calls ?? []) {
        const content = functions[call.function.name](JSON.parse(call.function.arguments));
        messages.push({ role: 'tool', tool_call_id: call.id, content });
      }
      return finish_reason;
    };

    const [finishes, asked] = await p.during(async () => [await answered(), await answered(), await answered()]);
    assert.deepEqual(finishes, ['tool_calls', 'tool_calls', 'stop']);
    assert.deepEqual(asked, ROUNDS[0]);
    assert.equal(heard.text, `Let me see.${ANSWER}`);
    assert.deepEqual(heard.done, [
      [0, 'get_weather', '{"city":"Paris"}'], [1, 'get_weather', '{"city":"Oslo"}'], [0, 'get_time', '{"city":"Oslo"}'],
    ]);
    assert.deepEqual(heard.deltas, { 0: '{"city":"Paris"}{"city":"Oslo"}', 1: '{"city":"Oslo"}' });
  });

  test('parse: the arguments of a strict function by its Zod schema', async () => {
    const tools = [zodFunction({ name: 'get_weather', parameters: z.object({ city: z.string() }) })];
    const messages = [user(QUESTION)];
    const [answer] = await p.during(() => client.chat.completions.parse({ model: MODEL, messages, tools }));
    const { tool_calls } = answer.choices[0].message;
    assert.deepEqual(tool_calls.map((call) => call.function.parsed_arguments), [{ city: 'Paris' }, { city: 'Oslo' }]);
  });

  test('afterwards nothing is left anywhere', () => p.pair.assertIdle());
});
