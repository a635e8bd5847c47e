// What a JSON library could change in passing is not changed in the caller's data; and large
// histories arrive whole.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { assertError, chatBody, post } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

const INVALID = 'invalid_request_error';

describe('fidelity', needsCodex, () => {
  let p;
  before(async () => {
    p = await Pair.start();
  });
  after(() => p?.stop());

  // Sends the body as it stands, byte for byte; the recorded request is what reached the model.
  async function send(body, marker) {
    const from = p.provider.out.mark;
    const answer = await post(p.port, body);
    assert.equal(answer.status, 200, answer.text);
    return { answer, request: await p.provider.requestWith(marker, from) };
  }

  const schemaOf = (request) => {
    const additional = request.body.input.filter((item) => item.type === 'additional_tools');
    return [...(request.body.tools ?? []), ...additional.flatMap((item) => item.tools)].flatMap((t) =>
      t.type === 'namespace' ? t.tools : [t],
    )[0].parameters;
  };

  // As written, what a careless library makes of it, and that it would.
  const numbers = ['0.1', '1.1', '3.14', '1e-7', '1e21', '0.30000000000000004', '9007199254740993',
    '9223372036854775807', '-9223372036854775808', '0', '-0.5', '100', '1.5', '2.5e-10', '123456789.123456789'];

  test('numbers in a tool schema arrive equal, and no longer than they were', async () => {
    const body = `{"model":"gpt-5.5","messages":[{"role":"user","content":"!say 1 0 ok, numbers in a schema"}],
      "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{
        "x":{"type":"number","enum":[${numbers.join(',')}]}}}}}]}`;
    const { request } = await send(body, 'numbers in a schema');
    const [, listed] = /"enum":\[([^\]]*)\]/.exec(request.text);
    const arrived = listed.split(',');
    assert.equal(arrived.length, numbers.length, listed);
    arrived.forEach((text, i) => {
      assert.equal(Number(text), Number(numbers[i]), `${numbers[i]} became ${text}`);
      if (/^-?\d+$/.test(numbers[i])) assert.equal(BigInt(text), BigInt(numbers[i]));
      assert.ok(text.length <= Math.max(numbers[i].length, String(Number(numbers[i])).length + 1),
        `${numbers[i]} became ${text}`);
    });
    assert.equal(schemaOf(request).properties.x.enum[0], 0.1);
  });

  test('arguments in the history, and arguments of a new call, arrive byte for byte', async () => {
    const odd = '{ "x": 0.1, "y":1.0,"z":1E5 , "big":12345678901234567890123, "u":"\\u00e9\\/", "dup":1,"dup":2 }';
    const messages = [
      { role: 'user', content: 'go' },
      { role: 'assistant', tool_calls: [{ id: 'call_a', type: 'function', function: { name: 'f', arguments: odd } }] },
      { role: 'tool', tool_call_id: 'call_a', content: odd },
      { role: 'user', content: `!tool f ${odd}` },
    ];
    const { answer, request } = await send(JSON.stringify({ model: 'gpt-5.5', messages }), '!tool f');
    const items = request.body.input.filter((item) => /^function_call/.test(item.type));
    assert.deepEqual([items[0].arguments, items[1].output], [odd, odd]);
    assert.equal(answer.json.choices[0].message.tool_calls[0].function.arguments, odd);
  });

  test('control characters, NUL among them, and every escape survive in content', async () => {
    const all = Array.from({ length: 0x20 }, (_, i) => String.fromCharCode(i)).join('');
    const content = `${all}\u007f\u0080\u2028\u2029\ufeff\ufffd\uffff😀"\\/ and no directive`;
    const { request } = await send(chatBody(content), 'and no directive');
    assert.equal(request.body.input.at(-1).content[0].text, content);
    const tool = [
      { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'c', content: `nul \u0000 in a result` },
    ];
    const two = await send(JSON.stringify({ messages: tool }), 'in a result');
    assert.equal(two.request.body.input.at(-1).output, 'nul \u0000 in a result');
  });

  test('escaped or raw, the same character is meant', async () => {
    const body = '{"messages":[{"role":"user","content":"\\u0041\\ud83d\\ude00\\/é caf\\u00e9 escaped"}]}';
    const { request } = await send(body, 'escaped');
    assert.equal(request.body.input.at(-1).content[0].text, 'A😀/é café escaped');
  });

  for (const [what, body, place] of [
    ['an integer over 64 bits', '{"messages":[{"role":"user","content":"x"}],\n "seed": 92233720368547758080}', /line 2/],
    ['an integer under -2^63',
      '{"tools":[{"type":"function","function":{"name":"f","parameters":{"minimum":-92233720368547758080}}}],\n\n"messages":[]}',
      /line 1/],
    ['a number no double holds', '{"messages":[{"role":"user","content":"x"}],"temperature":1e999}', /line 1/],
    ['a lone high surrogate', '{"messages":[\n{"role":"user","content":"a\\ud800b"}]}', /line 2/],
    ['a lone low surrogate', '{"messages":[\n\n{"role":"user","content":"\\udc00"}]}', /line 3/],
    ['bytes that are not UTF-8', Buffer.from('{"messages":[{"role":"user","content":"\xff"}]}', 'latin1'), /line 1/],
    ['a name twice', '{"messages":[{"role":"user","content":"a","content":"b"}]}', /line 1, column 5\d/],
  ]) {
    test(`400 tells where: ${what}`, async () => {
      assertError(await post(p.port, body), 400, { type: INVALID, code: 'invalid_json', message: place });
    });
  }

  const sha = (text) => crypto.createHash('sha256').update(text).digest('hex');
  // Not compressible into a repeated pattern: what is cut or repeated shows.
  const filler = (bytes, seed) => {
    const line = (i) => `${seed} ${String(i).padStart(9, '0')} The quick brown fox ürgert sich.\n`;
    const each = Buffer.byteLength(line(0));
    return Array.from({ length: Math.ceil(bytes / each) }, (_, i) => line(i)).join('');
  };

  test('a history of 8 MB reaches the model whole', async () => {
    const parts = Array.from({ length: 80 }, (_, i) => filler(105000, `message-${i}`));
    const messages = parts.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content }));
    messages.push({ role: 'user', content: '!say 1 0 read all of it' });
    const body = JSON.stringify({ messages });
    assert.ok(Buffer.byteLength(body) > 8e6 && Buffer.byteLength(body) < 10485760);
    const { answer, request } = await send(body, 'read all of it');
    assert.equal(answer.json.choices[0].message.content, 'read all of it');
    assert.equal(request.body.input.length, 81);
    request.body.input.slice(0, 80).forEach((item, i) => {
      assert.equal(item.role, i % 2 ? 'assistant' : 'user');
      assert.equal(sha(item.content[0].text), sha(parts[i]), `message ${i}`);
    });
  });

  test('a tool result of 1 MB reaches the model whole', async () => {
    const output = filler(1 << 20, 'result');
    const messages = [
      { role: 'user', content: 'read the file' },
      { role: 'assistant', tool_calls: [{ id: 'call_f', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'call_f', content: output },
    ];
    const { request } = await send(JSON.stringify({ messages }), 'read the file');
    assert.equal(sha(request.body.input.at(-1).output), sha(output));
  });

  test('one message of 2 MB, and one answer of 2 MB', async () => {
    const content = `${filler(2 << 20, 'one')}\n!big 2000000`;
    const { answer, request } = await send(chatBody(content), '!big 2000000');
    assert.equal(sha(request.body.input[0].content[0].text), sha(content));
    assert.equal(answer.json.choices[0].message.content, 'x'.repeat(2000000));
  });

  test('over the limit the answer is 413, and nothing reaches the model', async () => {
    const before = p.provider.requests.length;
    const answer = await post(p.port, chatBody('x'.repeat(10485760)));
    assertError(answer, 413, { type: INVALID, code: 'request_too_large' });
    assert.equal(p.provider.requests.length, before);
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});
