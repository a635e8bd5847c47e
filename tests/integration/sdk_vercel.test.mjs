// The Vercel AI SDK holds a conversation with tools, through the pair and the real codex.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { API_KEY } from './http_kit.mjs';
import {
  ANSWER, DESCRIPTIONS, MODEL, QUESTION, ROUNDS, SECOND_ANSWER, SECOND_QUESTION, SteppingPair, functions, parameters,
} from './sdk_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

describe('the Vercel AI SDK', needsCodex, () => {
  let p, provider;
  before(async () => {
    p = await SteppingPair.start();
    provider = createOpenAICompatible({ name: 'sidecar', baseURL: p.url, apiKey: API_KEY, includeUsage: true });
  });
  after(() => p?.stop());

  const tools = Object.fromEntries(Object.keys(functions).map((name) => [name, tool({
    description: DESCRIPTIONS[name], inputSchema: jsonSchema(parameters), execute: (input) => functions[name](input),
  })]));
  const options = (messages) => ({
    model: provider(MODEL), messages, tools, stopWhen: stepCountIs(5), maxRetries: 0,
  });
  const user = (content) => ({ role: 'user', content });

  // What both ways must have come to.
  function assertSteps(steps, totalUsage) {
    assert.deepEqual(steps.map((step) => [step.text, step.finishReason, step.toolCalls.map((c) => [c.toolName, c.input])]), [
      ['Let me see.', 'tool-calls', [['get_weather', { city: 'Paris' }], ['get_weather', { city: 'Oslo' }]]],
      ['', 'tool-calls', [['get_time', { city: 'Oslo' }]]],
      [ANSWER, 'stop', []],
    ]);
    assert.deepEqual(steps.map((step) => step.toolResults.map((r) => r.output)), [
      [functions.get_weather({ city: 'Paris' }), functions.get_weather({ city: 'Oslo' })], ['noon in Oslo'], [],
    ]);
    assert.deepEqual(
      [totalUsage.inputTokens, totalUsage.cachedInputTokens, totalUsage.outputTokens, totalUsage.reasoningTokens, totalUsage.totalTokens],
      [30, 9, 15, 3, 45],
    );
  }

  test('generateText: two questions, three calls', async () => {
    const messages = [user(QUESTION)];
    const [first, asked] = await p.during(() => generateText(options(messages)));
    assert.equal(first.text, ANSWER);
    assertSteps(first.steps, first.totalUsage);
    assert.deepEqual(asked, ROUNDS[0]);

    messages.push(...first.response.messages, user(SECOND_QUESTION));
    const [second, askedAgain] = await p.during(() => generateText(options(messages)));
    assert.equal(second.text, SECOND_ANSWER);
    assert.deepEqual(askedAgain, ROUNDS[1]);
  });

  test('streamText: two questions, three calls, every part of the stream', async () => {
    const messages = [user(QUESTION)];
    const ask = async () => {
      const result = streamText({ ...options(messages), onError: () => {} });
      const parts = [];
      for await (const part of result.fullStream) parts.push(part);
      return { parts, text: await result.text, steps: await result.steps, usage: await result.totalUsage, response: await result.response };
    };
    const [first, asked] = await p.during(ask);
    assert.deepEqual(first.parts.filter((part) => /error|abort/.test(part.type)), []);
    assert.equal(first.text, ANSWER);
    assertSteps(first.steps, first.usage);
    assert.deepEqual(asked, ROUNDS[0]);
    const texts = first.parts.filter((part) => part.type === 'text-delta').map((part) => part.text);
    assert.equal(texts.join(''), `Let me see.${ANSWER}`);
    const told = first.parts.map((part) => part.type).filter((type) => /^tool-(input-start|call|result)$|^(start|finish)-step$/.test(type));
    const step = (...types) => ['start-step', ...types, 'finish-step'];
    const sorted = (types) => [...types].sort();
    assert.deepEqual(sorted(told), sorted([
      ...step('tool-input-start', 'tool-input-start', 'tool-call', 'tool-call', 'tool-result', 'tool-result'),
      ...step('tool-input-start', 'tool-call', 'tool-result'),
      ...step(),
    ]));

    messages.push(...first.response.messages, user(SECOND_QUESTION));
    const [second, askedAgain] = await p.during(ask);
    assert.equal(second.text, SECOND_ANSWER);
    assert.deepEqual(askedAgain, ROUNDS[1]);
  });

  test("an error is the SDK's own, with our status and words", async () => {
    const ask = () => generateText({ ...options([user('hello')]), model: provider('no-such-model') });
    await assert.rejects(p.during(ask), (error) => {
      assert.ok(APICallError.isInstance(error), error);
      assert.equal(error.statusCode, 404);
      assert.equal(error.data.error.code, 'model_not_found');
      assert.equal(error.isRetryable, false);
      return true;
    });
  });

  test('afterwards nothing is left anywhere', () => p.pair.assertIdle());
});
