// The installed codex's own schema judges every kind of message that the proxy sends: a newer codex
// that has changed a shape fails here, with the method's name, and not at a user's request.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chat, post, stream } from './http_kit.mjs';
import { AppServerClient, LoneProxy, Pair, isReady, until } from './pair_kit.mjs';
import { Protocol, Relay } from './protocol_kit.mjs';
import { needsCodex, realCodex } from './supervisor_kit.mjs';

const codexSources = new URL('../../proxy/codex/', import.meta.url);
const source = (name) => fs.readFileSync(new URL(name, codexSources), 'utf8');
const stringsIn = (text) => [...text.matchAll(/"([A-Za-z]+(?:\/[A-Za-z_]+)*)"/g)].map((m) => m[1]);

// The words of an initializer in a C file.
function listIn(file, beginning) {
  const text = source(file);
  const from = text.indexOf(beginning);
  assert.ok(from >= 0, `${file} has no ${beginning}`);
  return stringsIn(text.slice(from, text.indexOf('};', from)));
}

// Each is sent in the session below. Who adds one to the proxy adds what makes it be sent.
const METHODS = [
  'initialize', 'initialized', 'account/read', 'model/list', 'thread/start', 'thread/inject_items', 'turn/start', 'turn/interrupt',
  'thread/read', 'thread/unsubscribe', 'thread/loaded/list',
];

// In codex's types, but not in its schema. Where it is gone, account/read is asked instead.
const UNLISTED = ['getAuthStatus'];

// What a proxy that sends transcripts has no use for.
const BY_ITEMS = ['thread/inject_items'];

const assertRight = (wrong) => assert.ok(wrong === undefined, wrong);

const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

// Everything that a request may hold.
const full = {
  model: 'gpt-5.5',
  reasoning_effort: 'high',
  verbosity: 'high',
  service_tier: 'priority',
  tools: [{
    type: 'function',
    function: { name: 'look', description: 'Looks.', parameters: { type: 'object', properties: { at: { type: 'string' } } } },
  }],
  response_format: {
    type: 'json_schema',
    json_schema: { name: 'a', strict: true, schema: { type: 'object', properties: { a: { type: 'string' } } } },
  },
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
    { role: 'user', content: [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: PIXEL, detail: 'high' } },
    ] },
    { role: 'assistant', content: 'Let me look.', tool_calls: [
      { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"at":"it"}' } },
      { id: 'call_2', type: 'function', function: { name: 'look', arguments: '{}' } },
    ] },
    { role: 'tool', tool_call_id: 'call_1', content: 'a dot' },
    { role: 'tool', tool_call_id: 'call_2', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'dot' }] },
    { role: 'assistant', content: null, refusal: 'I will not say.' },
    { role: 'user', content: 'Say it.\n!say 1 0 {"a":"dot"}' },
  ],
};

// A proxy, and all that it says to the real codex.
class Session {
  async start(env = {}) {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'relay-'));
    this.pair = await Pair.start();
    const socket = path.join(this.dir, 'relay.sock');
    this.relay = await Relay.start(socket, this.pair.socketUrl.replace('unix://', ''));
    this.relay.onSent = (message) => this.secondPage(message) && this.noSecondStatus(message);
    this.relay.onHeard = (message) => {
      const firstModels = message.id === this.sent('model/list')[0]?.id && message.result?.data;
      if (firstModels) message.result.nextCursor = 'second page';
      return true;
    };
    this.proxy = await LoneProxy.start(`unix://${socket}`, { CODEX_ORPHAN_SWEEP_INTERVAL_MS: '100', ...env });
    await isReady(this.proxy);
  }

  async stop() {
    try {
      await this.proxy?.stop();
      await this.pair?.stop();
    } finally {
      this.relay?.stop();
      await this.proxy?.kill();
      await this.pair?.dispose();
      if (this.proxy) fs.rmSync(this.proxy.root, { recursive: true, force: true });
      fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }

  sent(method) {
    return this.relay.sent.all.filter((m) => m.method === method);
  }

  params(method) {
    return this.sent(method).map((m) => m.params);
  }

  // A second page of models that codex has not: the cursor is ours.
  secondPage(message) {
    if (message.method !== 'model/list' || !message.params.cursor) return true;
    this.relay.say({ id: message.id, result: { data: [], nextCursor: null } });
    return false;
  }

  // The second time getAuthStatus is not known any more.
  noSecondStatus(message) {
    if (message.method !== 'getAuthStatus' || this.sent('getAuthStatus').length < 2) return true;
    this.relay.say({ id: message.id, error: { code: -32600, message: 'Invalid request: unknown variant' } });
    return false;
  }

  // Each phase makes the proxy send what nothing else makes it send.
  async run(body) {
    const { relay, proxy } = this;
    const answer = await post(proxy.port, JSON.stringify(body));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.choices[0].message.content, '{"a":"dot"}');

    const left = stream(proxy.port, 'go\n!say 500 100 tick');
    await left.text('tick0');
    const leftThread = this.params('turn/start').at(-1).threadId;
    left.abort();
    await relay.sent.first((m) => m.method === 'turn/interrupt' && m.params.threadId === leftThread, 'turn/interrupt');

    relay.onHeard = (message) => message.method !== 'turn/completed';
    const reconciled = await chat(proxy.port, 'go\n!say 1 0 not told to be over');
    assert.equal(reconciled.status, 200, reconciled.text);
    assert.equal(reconciled.json.choices[0].message.content, 'not told to be over');
    relay.onHeard = () => true;

    const stranger = await AppServerClient.connect(this.pair.socketUrl);
    const { thread } = await stranger.call('thread/start', { ephemeral: true });
    for (const method of ['thread/read', 'thread/unsubscribe'])
      await relay.sent.first((m) => m.method === method && m.params.threadId === thread.id, `${method} of a stranger's`);
    stranger.close();

    const lost = stream(proxy.port, 'go\n!say 500 100 tock');
    await lost.text('tock0');
    const { threadId } = this.params('turn/start').at(-1);
    const cutAt = relay.sent.mark;
    relay.cut();
    await relay.sent.first((m) => m.method === 'turn/interrupt' && m.params.threadId === threadId, 'turn/interrupt after the loss', cutAt);
    await lost.end();
    await until(async () => (await proxy.readyz()).status === 200, 'the proxy to be ready again');
  }
}

describe('the protocol of the installed codex', needsCodex, () => {
  const session = new Session();
  const sent = (method) => session.sent(method);
  const params = (method) => session.params(method);
  let relay, protocol;

  before(async () => {
    protocol = await Protocol.ofCodex();
    await session.start();
    relay = session.relay;
    await session.run(full);
    const called = await chat(session.proxy.port, '!tool look {"at":"it"}', { tools: full.tools });
    assert.equal(called.json.choices[0].finish_reason, 'tool_calls', called.text);
  });
  after(() => session.stop());

  for (const method of METHODS)
    test(`${method}: each that was sent is right by the schema`, () => {
      assert.ok(sent(method).length > 0, `${method} was never sent`);
      for (const message of sent(method)) assertRight(protocol.wrongCall(message));
    });

  test('the session holds every call that the sources know, and no other', () => {
    const known = new Set([...protocol.methods('ClientRequest'), ...protocol.methods('ClientNotification')]);
    const files = fs.readdirSync(codexSources).filter((name) => name.endsWith('.c'));
    const named = new Set(files.flatMap((name) => stringsIn(source(name))).filter((word) => known.has(word)));
    assert.deepEqual([...named].sort(), [...METHODS].sort(), 'METHODS, and what makes it be sent');
    const spoken = new Set(relay.sent.all.map((m) => m.method).filter(Boolean));
    assert.deepEqual([...spoken].sort(), [...METHODS, ...UNLISTED].sort());
  });

  test('getAuthStatus, which the schema does not list, is answered as we read it', () => {
    const { result } = relay.heard.all.find((m) => m.id === sent('getAuthStatus')[0].id && m.method === undefined);
    assert.deepEqual(result, { authMethod: null, authToken: null, requiresOpenaiAuth: false });
  });

  test('the session holds every kind of params and of items', () => {
    const members = (method) => new Set(params(method).flatMap((p) => Object.keys(p)));
    for (const [method, expected] of Object.entries({
      'model/list': ['cursor'],
      'thread/start': ['config', 'dynamicTools', 'environments', 'experimentalRawEvents', 'baseInstructions'],
      'turn/start': ['effort', 'outputSchema', 'serviceTierForTurn'],
    }))
      for (const member of expected) assert.ok(members(method).has(member), `${method} without ${member}`);
    const kinds = new Set(params('thread/inject_items').flatMap(({ items }) => items).flatMap((item) => {
      const content = item.content ?? item.output;
      const parts = Array.isArray(content) ? content.map((part) => part.type) : [typeof content];
      return parts.map((part) => [item.type, item.role, part].filter(Boolean).join(' '));
    }));
    assert.deepEqual([...kinds].sort(), [
      'function_call undefined',
      'function_call_output input_text',
      'function_call_output string',
      'message assistant output_text',
      'message developer input_text',
      'message user input_image',
      'message user input_text',
    ]);
  });

  test('a member that codex would drop or rename is found out, with the method', () => {
    let tried = 0;
    for (const method of METHODS.filter((m) => protocol.variant('ClientRequest', m)?.properties.params.$ref)) {
      const message = sent(method).reduce((a, b) => (Object.keys(b.params).length > Object.keys(a.params).length ? b : a));
      for (const member of Object.keys(message.params)) {
        const wrong = protocol.without(method, member).wrongCall(message);
        assert.ok(wrong?.startsWith(`${method}: `) && wrong.includes(` ${member}`), `${method} without ${member}: ${wrong}`);
        tried++;
      }
    }
    assert.ok(tried >= 20, `${tried}`);
    const start = sent('thread/start').find((m) => m.params.config && m.params.dynamicTools);
    const altered = (change) => {
      const message = structuredClone(start);
      change(message.params);
      return protocol.wrongCall(message);
    };
    assert.match(altered((p) => (p.dynamicTools[0].schema = {})), /^thread\/start: /);
    assert.match(altered((p) => (p.config.model_chattiness = 'high')), /^thread\/start: .* model_chattiness/);
    assert.match(altered((p) => (p.sandbox = 'readOnly')), /^thread\/start: /);
    const inject = structuredClone(sent('thread/inject_items')[0]);
    inject.params.items.find((item) => item.role === 'user').content[0].type = 'text';
    assert.match(protocol.wrongCall(inject), /^thread\/inject_items, message: /);
    assert.match(protocol.wrongCall({ id: 1, method: 'thread/begin', params: {} }), /^thread\/begin: codex knows/);
  });

  test('each request that codex may make is answered, and by the schema', async () => {
    const refused = [];
    const methods = protocol.methods('ServerRequest');
    for (const method of methods) {
      const answer = await relay.ask(method, { threadId: 'no-such-thread', turnId: 'no-such-turn' });
      assertRight(protocol.wrongAnswer(method, answer));
      assert.notEqual(answer.error?.code, -32601, `the proxy does not know ${method}`);
      if (answer.error) refused.push(method);
    }
    // These are no part of what a proxy can give.
    assert.deepEqual(refused.sort(), ['account/chatgptAuthTokens/refresh', 'attestation/generate', 'item/tool/call']);
    const answers = listIn('server_requests.c', 'requests[] = {');
    assert.ok(answers.length >= 10, answers.join());
    for (const method of answers)
      assert.ok(methods.includes(method), `codex asks for ${method} no longer`);
    const unknown = await relay.ask('no/such/request', {});
    assert.equal(unknown.error.code, -32601);
    assert.match(protocol.wrongAnswer('item/fileChange/requestApproval', { id: 1, result: { decision: 'maybe' } }), /^item\/fileChange/);
  });

  const notifications = {
    'not wanted': listIn('backend_greet.c', 'names[] = {'),
    handled: [...listIn('thread_events.c', '} notifications[] = {'), 'thread/closed'],
  };
  for (const [kind, methods] of Object.entries(notifications))
    test(`the notifications that are ${kind} are in the schema`, () => {
      assert.ok(methods.length >= 10, methods.join());
      for (const method of methods) assert.ok(protocol.notification(method), `codex does not tell ${method}`);
      assert.equal(protocol.notification('turn/finished'), undefined);
    });

  test('what is not wanted does not come; what is heard, raw events too, is right by the schema', () => {
    const heard = relay.heard.all.filter((m) => m.method && m.id === undefined);
    const names = new Set(heard.map((m) => m.method));
    for (const method of notifications['not wanted']) assert.ok(!names.has(method), method);
    for (const method of ['rawResponseItem/completed', 'rawResponse/completed', 'item/agentMessage/delta', 'turn/completed'])
      assert.ok(names.has(method), `${method} was never heard`);
    for (const message of heard.filter((m) => notifications.handled.includes(m.method)))
      assertRight(protocol.wrongNotification(message));
  });
});

describe('the protocol of the installed codex, without its experimental part', needsCodex, () => {
  const session = new Session();
  const methods = METHODS.filter((method) => !BY_ITEMS.includes(method));
  let protocol;

  before(async () => {
    protocol = await Protocol.ofCodex({ experimental: false });
    await session.start({ CODEX_HISTORY_MODE: 'transcript' });
    const { tools, ...rest } = full;
    await session.run(rest);
  });
  after(() => session.stop());

  test('each call that a proxy of transcripts sends is right by the stable schema, and there is no other', () => {
    for (const method of methods) {
      assert.ok(session.sent(method).length > 0, `${method} was never sent`);
      for (const message of session.sent(method)) assertRight(protocol.wrongCall(message));
    }
    const spoken = new Set(session.relay.sent.all.map((m) => m.method).filter(Boolean));
    assert.deepEqual([...spoken].sort(), [...methods, ...UNLISTED].sort());
  });

  test('the experimental API is not asked for; a member of it would be found out', () => {
    for (const { capabilities } of session.params('initialize')) assert.ok(!('experimentalApi' in capabilities));
    const start = structuredClone(session.sent('thread/start')[0]);
    for (const [member, value] of [['environments', []], ['experimentalRawEvents', true], ['dynamicTools', []]])
      assert.match(
        protocol.wrongCall({ ...start, params: { ...start.params, [member]: value } }),
        new RegExp(`^thread/start: .* ${member}`),
      );
  });

  test('text and image are the input of the turn, with everything else that a turn may hold', () => {
    const [first] = session.params('turn/start');
    assert.deepEqual(first.input.map((part) => part.type), ['text', 'image']);
    for (const member of ['effort', 'outputSchema', 'serviceTierForTurn']) assert.ok(member in first, member);
    assert.deepEqual(session.params('thread/start')[0].config, { model_verbosity: 'high' });
  });

  test('raw events do not come, and what is heard is right by the schema', () => {
    const heard = session.relay.heard.all.filter((m) => m.method && m.id === undefined);
    const names = new Set(heard.map((m) => m.method));
    for (const method of ['item/agentMessage/delta', 'item/completed', 'thread/tokenUsage/updated', 'turn/completed'])
      assert.ok(names.has(method), `${method} was never heard`);
    for (const message of heard) {
      assert.ok(!message.method.startsWith('raw'), message.method);
      assertRight(protocol.wrongNotification(message));
    }
  });
});

// A value on the command line of codex.
function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml)}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, v]) => `${JSON.stringify(key)}=${toml(v)}`)}}`;
}

describe('the protocol of the agent profile', needsCodex, () => {
  const session = new Session();
  let protocol, dir, start;

  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'agent-'));
    const policy = path.join(dir, 'policy.json');
    fs.writeFileSync(policy, JSON.stringify({
      version: 1, network: 'allow', allow: ['ls'], protected_paths: ['/opt/*/keys'], protected_files: ['.env'], write_paths: [dir],
    }));
    protocol = await Protocol.ofCodex();
    await session.start({ CODEX_PROFILE: 'agent', CODEX_WORKSPACE: dir, CODEX_TOOL_POLICY_PATH: policy });
    const answer = await chat(session.proxy.port, '!say 1 0 done', { verbosity: 'low' });
    assert.equal(answer.status, 200, answer.text);
    start = session.sent('thread/start')[0];
  });
  after(async () => {
    await session.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  test('thread/start is right by the schema, and asks for every approval', () => {
    const { config, ...params } = start.params;
    assertRight(protocol.wrongCall({ ...start, params }));
    assert.deepEqual([params.approvalPolicy, params.approvalsReviewer, params.permissions, params.sandbox],
      ['untrusted', 'user', 'sidecar', undefined]);
    assert.deepEqual(Object.keys(config).sort(),
      ['allow_login_shell', 'model_verbosity', 'permissions', 'projects', 'shell_environment_policy']);
  });

  // The schema of the call does not know them; codex itself does.
  test('codex takes each setting of the thread, and would refuse another name', () => {
    const codex = (config) => {
      const home = fs.mkdtempSync(path.join(dir, 'home-'));
      const args = Object.entries(config).flatMap(([key, value]) => ['-c', `${key}=${toml(value)}`]);
      return spawnSync(realCodex, ['app-server', '--strict-config', ...args, '--print-startup-config'],
        { env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home }, encoding: 'utf8', timeout: 30000 });
    };
    const { config } = start.params;
    const taken = codex({ default_permissions: 'sidecar', ...config });
    assert.equal(taken.status, 0, taken.stderr);
    for (const key of ['allow_login_shell', 'permissions', 'projects', 'shell_environment_policy']) {
      const { [key]: value, ...rest } = config;
      assert.notEqual(codex({ ...rest, [`${key}_`]: value }).status, 0, key);
    }
    const misspelt = structuredClone(config);
    misspelt.permissions.sidecar.filesistem = misspelt.permissions.sidecar.filesystem;
    assert.notEqual(codex(misspelt).status, 0);
  });

  test('what approves is right by the schema', () => {
    for (const method of ['item/commandExecution/requestApproval', 'item/fileChange/requestApproval'])
      assertRight(protocol.wrongAnswer(method, { id: 1, result: { decision: 'accept' } }));
  });
});
