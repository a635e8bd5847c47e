// LangChain holds a conversation with tools, through the pair and the real codex.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HumanMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { API_KEY } from './http_kit.mjs';
import {
  ANSWER, DESCRIPTIONS, MODEL, QUESTION, ROUNDS, SECOND_ANSWER, SECOND_QUESTION, SteppingPair, functions,
} from './sdk_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

describe('LangChain', needsCodex, () => {
  let p, model;
  const tools = Object.keys(functions).map((name) => tool((input) => functions[name](input), {
    name, description: DESCRIPTIONS[name], schema: z.object({ city: z.string().describe('Where.') }),
  }));
  before(async () => {
    p = await SteppingPair.start();
    model = new ChatOpenAI({ model: MODEL, apiKey: API_KEY, maxRetries: 0, configuration: { baseURL: p.url } });
  });
  after(() => p?.stop());

  // One message of the model, whole or put together from a stream.
  const ways = {
    invoke: (bound, messages) => bound.invoke(messages),
    stream: async (bound, messages) => {
      let message;
      for await (const chunk of await bound.stream(messages)) message = message ? message.concat(chunk) : chunk;
      return message;
    },
  };

  // LangChain's own habit: what the model said beside its calls is sent back as an empty text, which
  // must not reach the model as a message.
  const [firstRound, secondRound] = ROUNDS.map((round) =>
    round.map((lines) => lines.filter((line) => line !== 'assistant: Let me see.')));

  for (const [way, answer] of Object.entries(ways))
    test(`${way}: two questions, three calls`, async () => {
      const bound = model.bindTools(tools);
      const messages = [];
      const ask = async (question) => {
        messages.push(new HumanMessage(question));
        const said = [];
        for (;;) {
          const message = await answer(bound, messages);
          messages.push(message);
          said.push(message);
          if (message.tool_calls.length === 0) return said;
          for (const call of message.tool_calls)
            messages.push(await tools.find((t) => t.name === call.name).invoke(call));
        }
      };

      const [first, asked] = await p.during(() => ask(QUESTION));
      assert.deepEqual(first.map((m) => [m.content, m.response_metadata.finish_reason, m.tool_calls.map((c) => [c.name, c.args])]), [
        ['Let me see.', 'tool_calls', [['get_weather', { city: 'Paris' }], ['get_weather', { city: 'Oslo' }]]],
        ['', 'tool_calls', [['get_time', { city: 'Oslo' }]]],
        [ANSWER, 'stop', []],
      ]);
      assert.deepEqual(first.map((m) => m.invalid_tool_calls), [[], [], []]);
      for (const { usage_metadata: usage } of first) {
        assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.total_tokens], [10, 5, 15]);
        assert.deepEqual([usage.input_token_details.cache_read, usage.output_token_details.reasoning], [3, 1]);
      }
      assert.deepEqual(asked, firstRound);

      const [second, askedAgain] = await p.during(() => ask(SECOND_QUESTION));
      assert.equal(second.at(-1).content, SECOND_ANSWER);
      assert.deepEqual(askedAgain, secondRound);
    });

  test('structured output by a function that it requires', async () => {
    const place = model.withStructuredOutput(z.object({ city: z.string() }), { name: 'place', method: 'functionCalling' });
    const [answer] = await p.during(() => place.invoke('!tool place {"city":"Rome"}'));
    assert.deepEqual(answer, { city: 'Rome' });
  });

  test('afterwards nothing is left anywhere', () => p.pair.assertIdle());
});
