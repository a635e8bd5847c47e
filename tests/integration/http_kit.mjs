// HTTP as the wire shows it: what an SDK hides, a test can see here.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import assert from 'node:assert/strict';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { once } from 'node:events';
import { Feed } from './program.mjs';
import { withDeadline } from './supervisor_kit.mjs';

export const API_KEY = 'sk-test-of-the-pair';

export function chatBody(content, more = {}) {
  return JSON.stringify({ messages: [{ role: 'user', content }], ...more });
}

function open(port, { method = 'GET', path: where = '/', headers = {}, body, key = API_KEY, agent = false }) {
  const all = { ...(key && { authorization: `Bearer ${key}` }), ...headers };
  if (body !== undefined) all['content-type'] ??= 'application/json';
  if (body !== undefined && !all['transfer-encoding']) all['content-length'] ??= Buffer.byteLength(body);
  const request = http.request({ host: '127.0.0.1', port, method, path: where, headers: all, agent });
  request.end(body);
  return request;
}

// A whole answer: {status, headers, text, json}.
export async function ask(port, options) {
  const request = open(port, options);
  const answer = (async () => {
    const [response] = await once(request, 'response');
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const { statusCode: status, headers } = response;
    const isJson = /json/.test(headers['content-type'] ?? '') && text !== '';
    return { status, headers, text, json: isJson ? JSON.parse(text) : undefined };
  })();
  return withDeadline(answer, `answer to ${options.method ?? 'GET'} ${options.path}`).catch((error) => {
    request.destroy();
    throw error;
  });
}

export const post = (port, body, more = {}) =>
  ask(port, { method: 'POST', path: '/v1/chat/completions', body, ...more });

export const chat = (port, content, more, options) => post(port, chatBody(content, more), options);

// What a whole answer says.
export const textOf = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  return answer.json.choices[0].message.content;
};

// A stream, event by event, comments included. Never judges what comes: that is the test's part.
// An answer that is no stream is in `rest`.
// until: nothing is read of it before that promise is kept.
export class Stream {
  constructor(port, body, { until, ...options } = {}) {
    this.until = until;
    this.events = new Feed(); // {comment} or {name, data, json}
    this.request = open(port, { method: 'POST', path: '/v1/chat/completions', body, ...options });
    this.request.on('error', () => {}); // told by ended
    this.opened = withDeadline(once(this.request, 'response'), 'an answer').then(([response]) => {
      this.response = response;
      this.status = response.statusCode;
      this.headers = response.headers;
      return response;
    });
    this.ended = this.read(); // 'whole' or 'cut'
    this.opened.catch(() => {});
  }

  async read() {
    let rest = '';
    try {
      const response = await this.opened;
      response.setEncoding('utf8');
      await this.until;
      for await (const chunk of response) {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop();
        for (const block of blocks) this.take(block);
      }
      return 'whole';
    } catch {
      return 'cut';
    } finally {
      this.rest = rest;
    }
  }

  take(block) {
    if (block.startsWith(':')) return this.events.push({ comment: block });
    const lines = block.split('\n');
    const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field('data');
    this.events.push({ name: field('event'), data, json: data === '[DONE]' ? undefined : JSON.parse(data) });
  }

  end() {
    return withDeadline(this.ended, 'the end of a stream');
  }

  first(satisfies, what, from) {
    return this.events.first(satisfies, what, from);
  }

  text(content) {
    return this.first((e) => e.json?.choices?.[0]?.delta.content?.includes(content), content);
  }

  abort() {
    this.request.destroy();
  }

  get chunks() {
    return this.events.all.filter((e) => e.json).map((e) => e.json);
  }

  get content() {
    return this.chunks.map((c) => c.choices?.[0]?.delta?.content ?? '').join('');
  }

  get error() {
    return this.chunks.find((c) => c.error)?.error;
  }
}

export const stream = (port, content, more = {}, options = {}) =>
  new Stream(port, chatBody(content, { stream: true, ...more }), options);

// The official shapes (tests/schema).
const here = path.dirname(new URL(import.meta.url).pathname);
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addFormat('unixtime', true); // OpenAI's own word for a whole number of seconds
ajv.addSchema(JSON.parse(fs.readFileSync(path.join(here, '../schema/openai.schema.json'), 'utf8')));

export function assertShape(name, value) {
  const validate = ajv.getSchema(`openai#/$defs/${name}`);
  assert.ok(validate(value), `${name}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}

// A stream that ended as OpenAI's do. Returns its text.
export function assertWellFormed(chunks, { usage = false } = {}) {
  for (const chunk of chunks) assertShape('CreateChatCompletionStreamResponse', chunk);
  assert.equal(new Set(chunks.map((c) => `${c.id} ${c.model} ${c.created}`)).size, 1);
  const [role, ...others] = chunks;
  assert.equal(role.choices[0].delta.role, 'assistant');
  const usages = others.filter((c) => c.choices.length === 0);
  assert.equal(usages.length, usage ? 1 : 0);
  const body = usage ? others.slice(0, -1) : others;
  if (usage) assert.equal(others.at(-1), usages[0], 'usage comes last');
  body.forEach((chunk, i) => {
    assert.equal(chunk.choices.length, 1);
    assert.equal(chunk.choices[0].delta.role, undefined);
    assert.equal(chunk.choices[0].finish_reason !== null, i === body.length - 1, 'one finish, at the end');
  });
  return body.map((c) => c.choices[0].delta.content ?? '').join('');
}

export function assertError(answer, status, { type, code, param = null, message }) {
  assert.equal(answer.status, status, answer.text);
  assertShape('ErrorResponse', answer.json);
  const { error } = answer.json;
  assert.deepEqual([error.type, error.code, error.param], [type, code, param], answer.text);
  if (message) assert.match(error.message, message);
}
