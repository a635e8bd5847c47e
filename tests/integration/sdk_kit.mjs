// For the tests with SDKs of others: a model that goes on step by step, and what it was told.
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { Pair, withDeadline } from './pair_kit.mjs';

export const MODEL = 'gpt-5.5';

// An SDK that asks anybody but us is found out: none may need the internet, for tokens or whatever.
const { fetch } = globalThis;
const strangers = [];
globalThis.fetch = (input, init) => {
  const { hostname } = new URL(input.url ?? input);
  if (hostname === '127.0.0.1') return fetch(input, init);
  strangers.push(hostname);
  throw new Error(`a test asks ${hostname}`);
};

// Directives in the result of a tool are the demo model's next step: so a loop has more than one.
function withNextStep(body) {
  const { input } = body;
  const result = input.at(-1);
  if (result?.type !== 'function_call_output' || !/^!/m.test(result.output)) return body;
  const text = result.output.slice(result.output.search(/^!/m));
  const step = { type: 'message', role: 'user', content: [{ type: 'input_text', text }] };
  return { ...body, input: [...input, step] };
}

// Between codex and the demo provider.
class Steps {
  static async start() {
    const steps = new Steps();
    steps.requests = []; // as codex sent them
    steps.server = http.createServer((request, response) => steps.pass(request, response));
    steps.server.listen(0, '127.0.0.1');
    await once(steps.server, 'listening');
    return steps;
  }

  get port() {
    return this.server.address().port;
  }

  async pass(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks));
    this.requests.push(body);
    const sent = JSON.stringify(withNextStep(body));
    const headers = { ...request.headers, 'content-length': Buffer.byteLength(sent) };
    const { url: path, method } = request;
    http.request({ host: '127.0.0.1', port: this.target, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }).on('error', () => response.destroy()).end(sent);
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// The pair, in front of a model that takes steps.
export class SteppingPair {
  static async start() {
    const p = new SteppingPair();
    p.steps = await Steps.start();
    try {
      p.pair = await Pair.start({
        config: (provider) => {
          p.steps.target = provider.port;
          return provider.toml.replace(`127.0.0.1:${provider.port}`, `127.0.0.1:${p.steps.port}`);
        },
      });
    } catch (error) {
      p.steps.stop();
      throw error;
    }
    return p;
  }

  get url() {
    return `http://127.0.0.1:${this.pair.port}/v1`;
  }

  // What fn returns, and the conversations that reached the model meanwhile.
  async during(fn) {
    const from = this.steps.requests.length;
    const value = await withDeadline(fn(), 'the end of a conversation');
    return [value, this.steps.requests.slice(from).map(conversation)];
  }

  async stop() {
    this.steps.stop();
    await this.pair.stop();
    assert.deepEqual(strangers, [], 'asked for by an SDK');
  }
}

const textOf = (content) => (typeof content === 'string' ? content : content.map((part) => part.text).join(''));

// The items as lines. A result is told with the call that its id names.
export function conversation({ input }) {
  const calls = new Map();
  return input.filter((item) => item.type !== 'additional_tools').map((item) => {
    switch (item.type) {
      case 'message':
        return `${item.role}: ${textOf(item.content)}`;
      case 'function_call':
        assert.ok(!calls.has(item.call_id), `${item.call_id} twice`);
        calls.set(item.call_id, `${item.name} ${item.arguments}`);
        return `calls ${item.name} ${item.arguments}`;
      case 'function_call_output':
        return `${calls.get(item.call_id)} = ${textOf(item.output)}`;
      default:
        return item.type;
    }
  });
}

// The conversation that each SDK holds: two calls at once, a third that follows from their results,
// an answer; then a second question.
export const QUESTION = '!say 1 0 Let me see.\n!tool get_weather {"city":"Paris"}\n!tool get_weather {"city":"Oslo"}';
export const SECOND_QUESTION = '!tool get_time {"city":"Rome"}';
export const parameters = {
  type: 'object',
  properties: { city: { type: 'string', description: 'Where.' } },
  required: ['city'],
  additionalProperties: false,
};
export const DESCRIPTIONS = { get_weather: 'The weather of a city.', get_time: 'The time in a city.' };

const OSLO = 'rain\n!tool get_time {"city":"Oslo"}';

export const functions = {
  get_weather: ({ city }) => (city === 'Paris' ? 'sun' : OSLO),
  get_time: ({ city }) => `noon in ${city}`,
};

const FIRST = ['user: ' + QUESTION];
const SECOND = [
  ...FIRST,
  'assistant: Let me see.',
  'calls get_weather {"city":"Paris"}',
  'calls get_weather {"city":"Oslo"}',
  'get_weather {"city":"Paris"} = sun',
  'get_weather {"city":"Oslo"} = ' + OSLO,
];
const THIRD = [
  ...SECOND,
  'calls get_time {"city":"Oslo"}',
  'get_time {"city":"Oslo"} = noon in Oslo',
];
export const ANSWER = 'The tool said: noon in Oslo';
const FOURTH = [...THIRD, 'assistant: ' + ANSWER, 'user: ' + SECOND_QUESTION];
const FIFTH = [...FOURTH, 'calls get_time {"city":"Rome"}', 'get_time {"city":"Rome"} = noon in Rome'];
export const SECOND_ANSWER = 'The tool said: noon in Rome';

// What the model must have been asked for the first question, and for the second.
export const ROUNDS = [[FIRST, SECOND, THIRD], [FOURTH, FIFTH]];
