// SDKs that speak the Responses API hold a conversation with tools, through the pair and the real
// codex: the official SDK, OpenAI's Agents SDK, the Vercel AI SDK's default provider.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { API_KEY } from './http_kit.mjs';
import { openai } from './pair_kit.mjs';
import {
  ANSWER, DESCRIPTIONS, MODEL, QUESTION, ROUNDS, SECOND_ANSWER, SECOND_QUESTION, SteppingPair, functions, parameters,
} from './sdk_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

// What it is made of is not installed by npm for an older one.
const needsNode20 = { skip: Number(process.versions.node.split('.')[0]) < 20 && 'the Agents SDK needs Node 20' };
const user = (content) => ({ role: 'user', content });
const names = Object.keys(functions);

describe('SDKs of the Responses API', needsCodex, () => {
  let p;
  before(async () => {
    p = await SteppingPair.start();
  });
  after(() => p?.stop());

  describe('the official SDK', () => {
    let client;
    before(() => {
      client = openai(p.pair.port);
    });
    const tools = names.map((name) => ({ type: 'function', name, description: DESCRIPTIONS[name], parameters, strict: true }));
    const outputs = (response) => response.output.filter((item) => item.type === 'function_call').map((call) => ({
      type: 'function_call_output', call_id: call.call_id, output: functions[call.name](JSON.parse(call.arguments)),
    }));

    test('create: with all items, two questions, three calls', async () => {
      const input = [];
      const ask = async (question) => {
        input.push(user(question));
        for (;;) {
          const response = await client.responses.create({ model: MODEL, input, tools, store: false, include: ['reasoning.encrypted_content'] });
          input.push(...response.output);
          const results = outputs(response);
          if (results.length === 0) return response;
          input.push(...results);
        }
      };
      const [first, asked] = await p.during(() => ask(QUESTION));
      assert.equal(first.output_text, ANSWER);
      assert.deepEqual(asked, ROUNDS[0]);
      const [second, askedAgain] = await p.during(() => ask(SECOND_QUESTION));
      assert.equal(second.output_text, SECOND_ANSWER);
      assert.deepEqual(askedAgain, ROUNDS[1]);
    });

    test('stream: with previous_response_id, two questions, three calls; its events and its last word', async () => {
      const heard = { text: '', calls: [] };
      let last;
      const ask = async (question) => {
        let input = question;
        for (;;) {
          const stream = client.responses.stream({ model: MODEL, input, tools, previous_response_id: last?.id });
          stream.on('response.output_text.delta', ({ delta }) => (heard.text += delta));
          stream.on('response.function_call_arguments.done', (event) => heard.calls.push(event.arguments));
          last = await stream.finalResponse();
          assert.equal(last.status, 'completed');
          input = outputs(last);
          if (input.length === 0) return last;
        }
      };
      const [first, asked] = await p.during(() => ask(QUESTION));
      assert.equal(first.output_text, ANSWER);
      assert.deepEqual(heard, { text: `Let me see.${ANSWER}`, calls: ['{"city":"Paris"}', '{"city":"Oslo"}', '{"city":"Oslo"}'] });
      assert.deepEqual(asked, ROUNDS[0]);
      const [second, askedAgain] = await p.during(() => ask(SECOND_QUESTION));
      assert.equal(second.output_text, SECOND_ANSWER);
      assert.deepEqual(askedAgain, ROUNDS[1]);
      const kept = await client.responses.retrieve(second.id);
      assert.equal(kept.output[0].content[0].text, SECOND_ANSWER);
      await client.responses.delete(second.id);
      await assert.rejects(client.responses.retrieve(second.id), { status: 404 });
    });

    test('parse: an answer by its Zod schema, and the arguments of a function by theirs', async () => {
      const City = z.object({ city: z.string(), degrees: z.number() });
      const answer = await client.responses.parse({
        model: MODEL, input: '!say 1 0 {"city":"Paris","degrees":21.5}', text: { format: zodTextFormat(City, 'city') },
      });
      assert.deepEqual(answer.output_parsed, { city: 'Paris', degrees: 21.5 });
      const calling = await client.responses.parse({
        model: MODEL, input: '!tool get_weather {"city":"Oslo"}',
        tools: [zodResponsesFunction({ name: 'get_weather', parameters: z.object({ city: z.string() }) })],
      });
      assert.deepEqual(calling.output[0].parsed_arguments, { city: 'Oslo' });
    });

    test('errors are its own, with our status, code and words, in a stream too', async () => {
      await assert.rejects(client.responses.create({ model: 'no-such-model', input: 'x' }), { status: 404, code: 'model_not_found' });
      const stream = await client.responses.create({ model: MODEL, input: '!say 1 0 begun\n!failed server_error no', stream: true });
      const read = async () => {
        for await (const event of stream) assert.notEqual(event.type, 'response.completed');
      };
      await assert.rejects(read(), { code: 'stream_disconnected' });
    });
  });

  describe('the Agents SDK', needsNode20, () => {
    let runner;
    let agent;
    before(async () => {
      if (needsNode20.skip) return; // Node 18 runs this all the same
      const { Agent, OpenAIProvider, Runner, tool: agentTool } = await import('@openai/agents');
      const modelProvider = new OpenAIProvider({ openAIClient: openai(p.pair.port), useResponses: true });
      runner = new Runner({ modelProvider, tracingDisabled: true });
      agent = new Agent({
        name: 'a', model: MODEL,
        tools: names.map((name) => agentTool({
          name, description: DESCRIPTIONS[name], parameters: z.object({ city: z.string() }), execute: (args) => functions[name](args),
        })),
      });
    });

    for (const stream of [false, true])
      test(`an agent with tools, ${stream ? 'streamed' : 'whole answers'}: two questions, three calls`, async () => {
        const ask = async (input) => {
          const result = await runner.run(agent, input, { stream });
          if (stream) await result.completed;
          return result;
        };
        const [first, asked] = await p.during(() => ask(QUESTION));
        assert.equal(first.finalOutput, ANSWER);
        assert.deepEqual(asked, ROUNDS[0]);
        const [second, askedAgain] = await p.during(() => ask([...first.history, { type: 'message', ...user(SECOND_QUESTION) }]));
        assert.equal(second.finalOutput, SECOND_ANSWER);
        assert.deepEqual(askedAgain, ROUNDS[1]);
      });
  });

  describe("the Vercel AI SDK's default provider", () => {
    let provider;
    before(() => {
      provider = createOpenAI({ baseURL: p.url, apiKey: API_KEY });
    });
    const tools = Object.fromEntries(names.map((name) => [name, tool({
      description: DESCRIPTIONS[name], inputSchema: jsonSchema(parameters), execute: (input) => functions[name](input),
    })]));
    const options = (messages) => ({ model: provider(MODEL), messages, tools, stopWhen: stepCountIs(5), maxRetries: 0 });
    const whole = (messages) => generateText(options(messages));
    const streamed = async (messages) => {
      const result = streamText({ ...options(messages), onError: () => {} });
      const parts = [];
      for await (const part of result.fullStream) parts.push(part);
      assert.deepEqual(parts.filter((part) => /error|abort/.test(part.type)), []);
      return { text: await result.text, steps: await result.steps, totalUsage: await result.totalUsage, response: await result.response };
    };

    for (const [name, ask] of [['generateText', whole], ['streamText', streamed]])
      test(`${name}: two questions, three calls`, async () => {
        const messages = [user(QUESTION)];
        const [first, asked] = await p.during(() => ask(messages));
        assert.equal(first.text, ANSWER);
        assert.deepEqual(asked, ROUNDS[0]);
        assert.deepEqual(first.steps.map((step) => [step.text, step.finishReason, step.toolCalls.map((c) => [c.toolName, c.input])]), [
          ['Let me see.', 'tool-calls', [['get_weather', { city: 'Paris' }], ['get_weather', { city: 'Oslo' }]]],
          ['', 'tool-calls', [['get_time', { city: 'Oslo' }]]],
          [ANSWER, 'stop', []],
        ]);
        const { inputTokens, outputTokens, totalTokens } = first.totalUsage;
        assert.deepEqual([inputTokens, outputTokens, totalTokens], [30, 15, 45]);
        messages.push(...first.response.messages, user(SECOND_QUESTION));
        const [second, askedAgain] = await p.during(() => ask(messages));
        assert.equal(second.text, SECOND_ANSWER);
        assert.deepEqual(askedAgain, ROUNDS[1]);
      });

    test("an error is the SDK's own, with our status and words", async () => {
      const ask = () => generateText({ ...options([user('hello')]), model: provider('no-such-model') });
      await assert.rejects(p.during(ask), (error) => {
        assert.ok(APICallError.isInstance(error), error);
        assert.deepEqual([error.statusCode, error.data.error.code, error.isRetryable], [404, 'model_not_found', false]);
        return true;
      });
    });
  });

  test('afterwards nothing is left anywhere', () => p.pair.assertIdle());
});
