// Everything that goes wrong before or at the model: HTTP status, error object, headers. And the
// routes that are not about the model.
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { after, before, describe, test } from 'node:test';
import { API_KEY, ask, assertError, assertShape, assertWellFormed, chat, chatBody, post, stream } from './http_kit.mjs';
import { Pair, openai } from './pair_kit.mjs';
import { freePort, needsCodex } from './supervisor_kit.mjs';

const INVALID = 'invalid_request_error';

describe('errors and routes', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start({ env: { CODEX_SSE_HEADER_DELAY_MS: '60000' } });
  });
  after(() => p?.stop());

  test('without a key, or with a wrong one: 401, and nothing is told about the path', async () => {
    for (const key of [null, 'sk-wrong', `${API_KEY}x`, API_KEY.slice(0, -1)])
      for (const path of ['/v1/models', '/v1/chat/completions', '/nowhere']) {
        const method = path.endsWith('completions') ? 'POST' : 'GET';
        const answer = await ask(p.port, { method, path, key, body: method === 'POST' ? '{}' : undefined });
        assertError(answer, 401, { type: INVALID, code: 'invalid_api_key' });
        assert.match(answer.headers['www-authenticate'], /^Bearer/);
        assert.ok(!answer.text.includes(API_KEY.slice(0, -1)));
      }
    await assert.rejects(openai(p.port, { apiKey: 'sk-no' }).models.list(), { status: 401, code: 'invalid_api_key' });
  });

  test('an unknown path is 404, a wrong method 405 with the right one named', async () => {
    assertError(await ask(p.port, { path: '/v1/nothing' }), 404, { type: INVALID, code: 'unknown_url' });
    const wrong = await ask(p.port, { path: '/v1/chat/completions' });
    assertError(wrong, 405, { type: INVALID, code: 'method_not_allowed' });
    assert.equal(wrong.headers.allow, 'POST');
    const post_ = await ask(p.port, { method: 'POST', path: '/v1/models', body: '{}' });
    assertError(post_, 405, { type: INVALID, code: 'method_not_allowed' });
    assert.match(post_.headers.allow, /GET/);
    const type = await post(p.port, 'x', { headers: { 'content-type': 'text/plain' } });
    assertError(type, 415, { type: INVALID, code: 'unsupported_media_type' });
    const packed = await post(p.port, gzipSync(chatBody('hi')), { headers: { 'content-encoding': 'gzip' } });
    assertError(packed, 415, { type: INVALID, code: 'unsupported_media_type', message: /compressed/ });
    assert.equal(packed.headers['accept-encoding'], 'identity');
    const plain = await post(p.port, chatBody('!say 1 0 hi'), { headers: { 'content-encoding': 'identity' } });
    assert.equal(plain.status, 200);
  });

  test('the probes answer without a key; HEAD is GET without a body', async () => {
    for (const path of ['/healthz', '/readyz', '/health']) {
      const get = await ask(p.port, { path, key: null });
      assert.equal(get.status, 200, path);
      assert.match(get.json.status, /^(ok|ready)$/);
      const head = await ask(p.port, { method: 'HEAD', path, key: null });
      assert.deepEqual([head.status, head.text], [200, ''], path);
      assert.equal(head.headers['content-length'], get.headers['content-length']);
    }
    const head = await ask(p.port, { method: 'HEAD', path: '/v1/models' });
    assert.deepEqual([head.status, head.text], [200, '']);
  });

  test("the caller's x-request-id comes back; without one, or with a bad one, there is a new one", async () => {
    for (const [content, headers] of [['ok', { 'x-request-id': 'my-id.1' }], ['', { 'x-request-id': 'other/2' }]]) {
      const answer = await chat(p.port, `!say 1 0 ${content}`, {}, { headers });
      assert.equal(answer.headers['x-request-id'], headers['x-request-id']);
    }
    const refused = await ask(p.port, { path: '/nope', headers: { 'x-request-id': 'on-errors-too' } });
    assert.equal(refused.headers['x-request-id'], 'on-errors-too');
    const ids = [];
    for (const headers of [{}, {}, { 'x-request-id': 'with space' }, { 'x-request-id': 'x'.repeat(200) }])
      ids.push((await ask(p.port, { path: '/healthz', headers })).headers['x-request-id']);
    assert.equal(new Set(ids).size, 4);
    for (const id of ids) assert.match(id, /^req_[0-9a-f]+$/);
  });

  const messages = [{ role: 'user', content: 'hi' }];
  for (const [what, body, code, param, message] of [
    ['no body at all', '', 'invalid_json', null, /JSON/],
    ['half a JSON text', '{"messages":[', 'invalid_json', null, /JSON/],
    ['an array', '[]', 'invalid_json', null, /object/],
    ['no messages', '{}', 'missing_required_parameter', 'messages'],
    ['empty messages', '{"messages":[]}', 'empty_array', 'messages'],
    ['an unknown parameter', { messages, wat: 1 }, 'unknown_parameter', 'wat', /wat/],
    ['a wrong type', { messages, stream: 'yes' }, 'invalid_type', 'stream'],
    ['n of 9', { messages, n: 9 }, 'unsupported_value', 'n'],
    ['too much to stop at', { messages, stop: ['a', 'b', 'c', 'd', 'e'] }, 'invalid_value', 'stop'],
    ['an unknown role', { messages: [...messages, { role: 'wizard', content: 'x' }] }, null, 'messages[1].role'],
    ['no content', { messages: [{ role: 'user' }] }, null, 'messages[0].content'],
    ['an unknown part', { messages: [{ role: 'user', content: [{ type: 'video' }] }] }, null, 'messages[0].content[0]'],
    ['an image from the web', {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }] }],
    }, 'invalid_image_url', 'messages[0].content[0].image_url.url', /CODEX_IMAGE_FETCH_HOSTS/],
    ['a tool result without a call', { messages: [{ role: 'tool', tool_call_id: 'a', content: 'x' }] }, null,
      'messages[0].tool_call_id'],
    ['a call without its result', {
      messages: [
        { role: 'assistant', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }] },
        { role: 'user', content: 'x' },
      ],
    }, null, 'messages[1]', /call_1/],
    ['stream_options without stream', { messages, stream_options: { include_usage: true } }, null, 'stream_options'],
    ['a bad tool name', { messages, tools: [{ type: 'function', function: { name: 'a b' } }] }, 'invalid_value',
      'tools[0].function.name'],
  ]) {
    test(`400 names the place: ${what}`, async () => {
      const before = p.provider.requests.length;
      const answer = await post(p.port, typeof body === 'string' ? body : JSON.stringify(body));
      assertError(answer, 400, { type: INVALID, code, param, message });
      assert.equal(p.provider.requests.length, before);
    });
  }

  test('an unknown model: 404, told at once', async () => {
    const answer = await post(p.port, chatBody('hi', { model: 'gpt-nothing' }));
    assertError(answer, 404, { type: INVALID, code: 'model_not_found', param: 'model', message: /gpt-nothing/ });
    const s = stream(p.port, 'hi', { model: 'gpt-nothing' });
    assert.equal(await s.end(), 'whole');
    assert.equal(s.status, 404);
  });

  const upstream = (message, type, code, param = null) =>
    JSON.stringify({ error: { message, type, code, param } });
  const cases = [
    ['401', `!status 401 ${upstream('bad key', INVALID, 'invalid_api_key')}`, 503,
      { type: 'server_error', code: 'upstream_auth_failed' }, { 'x-should-retry': 'false' }],
    ['403', `!status 403 ${upstream('not for you', INVALID, 'forbidden')}`, 403,
      { type: INVALID, code: null, message: /not for you/ }],
    ['429', `!status 429 ${upstream('slow down', 'rate_limit', 'rate_limit_exceeded')}`, 429,
      { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
    ['an empty quota', `!status 429 ${upstream('no money', 'insufficient_quota', 'insufficient_quota')}`, 429,
      { type: 'insufficient_quota', code: 'insufficient_quota' }, { 'x-should-retry': 'false' }],
    ['500', '!status 500 {"error":{"message":"oops"}}', 502, { type: 'server_error', code: 'upstream_error' }],
    ['502', '!status 502 bad', 502, { type: 'server_error', code: 'upstream_error' }],
    ['504', '!status 504 late', 504, { type: 'server_error', code: 'upstream_timeout' }],
    ['overload', '!failed server_is_overloaded busy', 503, { type: 'server_error', code: 'server_is_overloaded' },
      { 'retry-after': '5' }],
    ['a full context', `!status 400 ${upstream('too long', INVALID, 'context_length_exceeded', 'input')}`, 400,
      { type: INVALID, code: 'context_length_exceeded' }],
    // codex passes on the message of this one, and no more
    ['a refused prompt', `!status 400 ${upstream('No such prompts.', INVALID, 'invalid_prompt')}`, 400,
      { type: INVALID, code: null, message: /^No such prompts\.$/ }],
    ['another 400', `!status 400 ${upstream('x is odd', INVALID, 'odd', 'x')}`, 400,
      { type: INVALID, code: 'odd', param: 'x', message: /x is odd/ }],
    ['404 of the model', `!status 404 ${upstream('no such', INVALID, 'model_not_found')}`, 404,
      { type: INVALID, code: 'model_not_found', param: 'model' }],
    ['response.failed', '!failed server_error it broke', 502, { type: 'server_error', code: 'stream_disconnected' }],
    ['a stream cut before it said anything', '!drop', 502, { type: 'server_error', code: 'stream_disconnected' }],
  ];
  for (const [what, directive, status, error, headers = {}] of cases) {
    test(`the provider answers ${what}: ${status}`, async () => {
      const answer = await chat(p.port, directive);
      assertError(answer, status, error);
      for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers[name], value, name);
      const s = stream(p.port, directive); // nothing is sent yet: it fails in the same way
      assert.equal(await s.end(), 'whole');
      assertError({ status: s.status, json: JSON.parse(s.rest), text: s.rest }, status, error);
    });
  }

  test('a stream cut after text: the text, one well-formed error, [DONE], and no finish', async () => {
    const s = stream(p.port, '!part half of\n!drop');
    assert.equal(await s.end(), 'whole');
    assert.equal(s.content, 'half of');
    const errors = s.chunks.filter((c) => c.error);
    assert.equal(errors.length, 1);
    assertShape('ErrorResponse', errors[0]);
    assert.deepEqual([errors[0].error.type, errors[0].error.code], ['server_error', 'stream_disconnected']);
    assert.equal(s.events.all.at(-1).data, '[DONE]');
    assert.equal(s.events.all.at(-2).json, errors[0]);
    assert.ok(s.chunks.every((c) => !c.choices?.[0]?.finish_reason));
    // the SDK throws it
    const iterate = async () => {
      const params = { model: 'gpt-5.5', stream: true, messages: [{ role: 'user', content: '!part half\n!drop' }] };
      for await (const chunk of await p.client.chat.completions.create(params)) void chunk;
    };
    await assert.rejects(iterate(), /./);
  });

  test('an answer cut in the middle is no answer: the whole form is an error', async () => {
    assertError(await chat(p.port, '!part half of\n!drop'), 502, { type: 'server_error', code: 'stream_disconnected' });
  });

  test('the provider is not there: 502 within seconds, and well again when it is', async () => {
    const nobody = await freePort();
    const q = await Pair.start({ config: (provider) => provider.toml.replace(`:${provider.port}/`, `:${nobody}/`) });
    try {
      assertError(await chat(q.port, 'hi'), 502, { type: 'server_error', code: 'upstream_unreachable' });
      assert.equal(await q.inFlight(), 0);
    } finally {
      await q.stop();
    }
    assert.equal((await chat(p.port, '!say 1 0 ok')).status, 200);
  });

  test('a failure of one request leaves the next one alone', async () => {
    const directives = ['!drop', '!status 500 x', '!say 3 1 fine', '!part a\n!drop', '!say 3 1 fine'];
    const streams = directives.map((d) => stream(p.port, d));
    await Promise.all(streams.map((s) => s.end()));
    for (const i of [2, 4]) assert.equal(assertWellFormed(streams[i].chunks), 'fine0 fine1 fine2 ');
    await p.assertIdle();
  });
});
