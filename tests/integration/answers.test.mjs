// What the model says in unusual ways, the settings that choose for the caller, and callers with
// keys of their own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { API_KEY, assertShape, assertWellFormed, chat, chatBody, post, stream } from './http_kit.mjs';
import { Pair, lone } from './pair_kit.mjs';
import { needsCodex, until, withDeadline } from './supervisor_kit.mjs';

describe('answers of the real codex', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start({ env: { CODEX_DEFAULT_EFFORT: 'low', CODEX_DEFAULT_MODEL: 'fast', CODEX_MODEL_ALIASES: 'fast=gpt-5.5' } });
  });
  after(() => p?.stop());

  // {message, finish_reason}: the same by the whole answer and by the stream's chunks.
  async function both(content, more) {
    const whole = await chat(p.port, content, more);
    assert.equal(whole.status, 200, whole.text);
    assertShape('CreateChatCompletionResponse', whole.json);
    const s = stream(p.port, content, more);
    assert.equal(await s.end(), 'whole');
    assertWellFormed(s.chunks);
    const joined = (member) => s.chunks.map((c) => c.choices[0].delta[member] ?? '').join('');
    const [{ message, finish_reason }] = whole.json.choices;
    for (const member of ['content', 'reasoning_content', 'refusal'])
      assert.equal(joined(member), message[member] ?? '', member);
    assert.equal(s.chunks.at(-1).choices[0].finish_reason, finish_reason);
    return { message, finish_reason };
  }

  test('commentary is no part of the answer: it stands with the reasoning', async () => {
    const { message } = await both('!reason Why.\n!comment I look around first.\n!say 1 0 The answer.');
    assert.deepEqual([message.content, message.reasoning_content], ['The answer.', 'Why.\n\nI look around first.']);
  });

  test('a message that the provider sends at once, without pieces, is not lost', async () => {
    const { message, finish_reason } = await both('!whole All of it: "ü".\n!usage 5 0 7 0');
    assert.deepEqual([message.content, finish_reason], ['All of it: "ü".', 'stop']);
    assert.equal((await both('!say 1 0 One.\n!whole Two.')).message.content, 'One.\n\nTwo.');
  });

  test('a refusal is told as one, not as an empty answer', async () => {
    const { message, finish_reason } = await both('!refuse I will not.');
    assert.equal(message.content, null);
    assert.match(message.refusal, /^The model refused/);
    assert.equal(finish_reason, 'stop');
    // in place of the object that was asked for
    const asked = await both('!refuse No.', { response_format: { type: 'json_object' } });
    assert.match(asked.message.refusal, /^The model refused/);
    assert.equal((await both('!say 1 0 I can.')).message.refusal, null);
    const helper = p.client.chat.completions.stream({ model: 'fast', messages: [{ role: 'user', content: '!refuse No.' }] });
    assert.match((await helper.finalMessage()).refusal, /^The model refused/);
  });

  test('without a model and an effort in the request those of the settings are taken', async () => {
    const from = p.provider.out.mark;
    const { json } = await chat(p.port, '!say 1 0 by default');
    assert.equal(json.model, 'gpt-5.5');
    const { body } = await p.provider.requestWith('by default', from);
    assert.deepEqual([body.model, body.reasoning.effort], ['gpt-5.5', 'low']);
  });

  test('whole and streamed name the same fingerprint; a stream asks proxies not to hold it back', async () => {
    const { json } = await chat(p.port, '!say 1 0 t');
    assert.match(json.system_fingerprint, /^fp_/);
    const s = stream(p.port, '!say 2 0 t');
    await s.end();
    assert.deepEqual([...new Set(s.chunks.map((c) => c.system_fingerprint))], [json.system_fingerprint]);
    assert.equal(s.headers['x-accel-buffering'], 'no');
  });

  test('the results of calls may be sent to another server, after a restart of everything', async () => {
    const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: {} } } }];
    const messages = [{ role: 'user', content: '!tool get_weather {"city": "A"}\n!tool get_weather {"city": "B"}' }];
    const first = await chat(p.port, '', { messages, tools });
    const { message } = first.json.choices[0];
    messages.push(message, ...message.tool_calls.map((call, i) => ({ role: 'tool', tool_call_id: call.id, content: `rain ${i}` })));
    await p.stop();
    p = undefined;
    p = await Pair.start();
    const { json } = await chat(p.port, '', { messages, tools });
    assert.equal(json.choices[0].message.content, 'The tool said: rain 0, rain 1');
    const { body } = await p.provider.requestWith('rain 1');
    const calls = body.input.filter((item) => item.type === 'function_call');
    assert.deepEqual(calls.map((c) => c.call_id), message.tool_calls.map((c) => c.id));
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});

test('several keys: each is let in, a line names which, and none waits behind all of another', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keys-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'keys');
  fs.writeFileSync(file, '# of the teams\nsk-first-team\n\nsk-second-team\n', { mode: 0o600 });
  const f = await lone(t, { env: { CODEX_PROXY_API_KEYS_FILE: file, CODEX_MAX_CONCURRENT: '1' } });
  const running = stream(f.port, '!part first\n!silence', {}, { key: 'sk-first-team' });
  await running.text('first');
  const from = f.fake.out.mark;
  const waiting = [];
  for (const [key, text] of [['sk-first-team', 'one'], ['sk-first-team', 'two'], ['sk-second-team', 'three'], [API_KEY, 'four']]) {
    waiting.push(chat(f.port, `!say 1 0 ${text}`, {}, { key, headers: { 'x-request-id': text } }));
    await until(async () => (await f.proxy.readyz()).json.queued === waiting.length, `${text} to wait`);
  }
  running.abort();
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
  const order = f.fake.out.all.slice(from).map((l) => /!say 1 0 (\w+)/.exec(l.text ?? '')?.[1]).filter(Boolean);
  assert.deepEqual(order, ['three', 'four', 'one', 'two']);
  const keys = await Promise.all(['one', 'three', 'four'].map(async (id) => (await f.proxy.over(id)).key));
  assert.deepEqual(keys, [2, 3, 1]);
  assert.ok(!f.proxy.logText.includes('sk-first-team'));
  assert.equal((await chat(f.port, 'x', {}, { key: 'sk-third-team' })).status, 401);
});

test('models of the settings that Codex does not have are told at the start, once, and then refused', async (t) => {
  const f = await lone(t, { env: { CODEX_DEFAULT_MODEL: 'nope', CODEX_MODEL_ALIASES: 'fast=gone,slow=gpt-6.1-sol' } });
  const told = () => f.proxy.log.all.map((l) => l.msg ?? '').filter((m) => /Codex has no model/.test(m));
  await until(() => told().length >= 2, 'both warnings');
  assert.match(told()[0], /^CODEX_DEFAULT_MODEL: .* nope/);
  assert.match(told()[1], /^CODEX_MODEL_ALIASES: .* gone: requests for fast/);
  const from = f.fake.out.mark;
  await f.fake.order('drop');
  await f.fake.heard('model/list', from);
  assert.equal((await chat(f.port, 'x')).json.error.code, 'model_not_found');
  assert.equal((await chat(f.port, 'x', { model: 'fast' })).status, 404);
  assert.equal((await chat(f.port, 'x', { model: 'slow' })).status, 200);
  assert.equal(told().length, 2);
});

test('on a unix socket: the same API, for those who may open it', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'listen-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const socketPath = path.join(dir, 'api.sock');
  await lone(t, { env: { CODEX_PROXY_LISTEN_UNIX: socketPath, CODEX_PROXY_API_KEY: '' } });
  assert.equal(fs.statSync(socketPath).mode & 0o777, 0o660);
  const body = chatBody('!say 3 0 t', { stream: true });
  const request = http.request({ socketPath, method: 'POST', path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } });
  request.end(body);
  const [response] = await withDeadline(once(request, 'response'), 'an answer');
  let text = '';
  for await (const chunk of response) text += chunk;
  assert.equal(response.statusCode, 200, text);
  assert.match(text, /"content":"t0 "[^]*"content":"t2 "[^]*data: \[DONE\]/);
});

test('a body in chunks is taken; one without a length is told so', async (t) => {
  const f = await lone(t);
  const chunked = await post(f.port, chatBody('!say 1 0 in chunks'), { headers: { 'transfer-encoding': 'chunked' } });
  assert.deepEqual([chunked.status, chunked.json.choices?.[0].message.content], [200, 'in chunks']);
  const request = http.request({ host: '127.0.0.1', port: f.port, method: 'POST', path: '/v1/chat/completions', agent: false,
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' } });
  request.useChunkedEncodingByDefault = false;
  request.removeHeader('transfer-encoding');
  request.end();
  const [response] = await withDeadline(once(request, 'response'), 'an answer');
  response.resume();
  assert.equal(response.statusCode, 411);
});

test('a head that does not come to its end costs its connection after 10 s, whatever trickles', async (t) => {
  const f = await lone(t);
  const beginnings = ['', 'GET /healthz HT', 'GET /healthz HTTP/1.1\r\nhost: x\r\n', 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /h'];
  await Promise.all(beginnings.map(async (beginning, i) => {
    const socket = net.connect(f.port, '127.0.0.1').on('error', () => {});
    const trickle = setInterval(() => i === 2 && socket.write('x-a: b\r\n'), 1000);
    t.after(() => clearInterval(trickle));
    const closed = once(socket.resume(), 'close');
    socket.write(beginning);
    await withDeadline(closed, `the end of "${beginning}"`, 20000);
  }));
  assert.equal((await chat(f.port, '!say 1 0 well')).status, 200);
});
