// The protocol of the installed codex, by its own schema, and what was said on a connection to it.
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import Ajv2019 from 'ajv/dist/2019.js';
import WebSocket, { WebSocketServer } from 'ws';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { Feed } from './program.mjs';
import { DEADLINE_MS, realCodex, withDeadline } from './supervisor_kit.mjs';

// Codex ignores members that it does not know, and so does its schema: here they are mistakes, as
// one that was renamed would be. part: of an object whose other members are told elsewhere.
function strictly(schema, part = false) {
  if (Array.isArray(schema)) return schema.map((s) => strictly(s, part));
  if (typeof schema !== 'object' || schema === null) return schema;
  const members = schema.properties !== undefined;
  const out = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' || key === 'definitions')
      out[key] = Object.fromEntries(Object.entries(value).map(([name, s]) => [name, strictly(s)]));
    else if (key === 'enum' || key === 'default' || key === 'required') out[key] = value;
    else out[key] = strictly(value, members && /^(any|one|all)Of$/.test(key));
  }
  if (members && !part && schema.additionalProperties === undefined) out.unevaluatedProperties = false;
  return out;
}

// A schema with those of its definitions that it needs: they are hundreds.
function withNeeded({ $schema, definitions = {}, ...schema }) {
  const needed = {};
  const follow = (value) => {
    if (typeof value !== 'object' || value === null) return;
    const name = typeof value.$ref === 'string' && value.$ref.replace('#/definitions/', '');
    if (name && !needed[name]) follow((needed[name] = definitions[name]));
    Object.values(value).forEach(follow);
  };
  follow(schema);
  return { ...schema, definitions: needed };
}

export class Protocol {
  // The schema's files, as codex writes them.
  static async ofCodex({ experimental = true } = {}) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'schema-'));
    try {
      const out = path.join(dir, 'out');
      const args = ['app-server', 'generate-json-schema', '--out', out, ...(experimental ? ['--experimental'] : [])];
      const env = { PATH: process.env.PATH, HOME: dir, CODEX_HOME: dir };
      await promisify(execFile)(realCodex, args, { env, timeout: DEADLINE_MS });
      const read = (file) => JSON.parse(fs.readFileSync(path.join(out, file), 'utf8'));
      const names = [...fs.readdirSync(out), ...fs.readdirSync(path.join(out, 'v2')).map((name) => `v2/${name}`)];
      return new Protocol(Object.fromEntries(
        names.filter((name) => name.endsWith('.json')).map((name) => [name.slice(0, -5), read(name)]),
      ));
    } finally {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  }

  constructor(files) {
    this.files = files;
    this.compiled = new Map();
  }

  // file: ClientRequest, ClientNotification, ServerRequest, ServerNotification
  variant(file, method) {
    return this.files[file].oneOf.find((v) => v.properties.method.enum.includes(method));
  }

  methods(file) {
    return this.files[file].oneOf.flatMap((v) => v.properties.method.enum);
  }

  // What is wrong with value; undefined: nothing.
  wrong(key, makeSchema, value, strict = true) {
    if (!this.compiled.has(key)) {
      const schema = withNeeded(makeSchema());
      const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false, validateSchema: false });
      this.compiled.set(key, ajv.compile(strict ? strictly(schema) : schema));
    }
    const validate = this.compiled.get(key);
    if (validate(value)) return undefined;
    const mistakes = validate.errors.map(({ instancePath, message, params }) =>
      [instancePath, message, params.unevaluatedProperty].filter(Boolean).join(' '));
    return `${key}: ${mistakes.join(', ')} in ${JSON.stringify(value).slice(0, 2000)}`;
  }

  // A call or notification of ours.
  wrongCall(message) {
    const file = message.id === undefined ? 'ClientNotification' : 'ClientRequest';
    const { definitions = {} } = this.files[file];
    const variant = this.variant(file, message.method);
    if (!variant) return `${message.method}: codex knows it no longer`;
    return this.wrong(message.method, () => ({ ...variant, definitions }), message)
      ?? (message.method === 'thread/inject_items' ? this.wrongItems(message) : undefined)
      ?? (message.method === 'thread/start' ? this.wrongConfig(message) : undefined);
  }

  // The schema of the call says "anything" of them.
  wrongItems({ method, params }) {
    const { definitions } = this.files.ClientRequest;
    for (const item of params.items) {
      const variant = definitions.ResponseItem.oneOf.find((v) => v.properties.type.enum.includes(item.type));
      if (!variant) return `${method}: codex knows no item ${item.type}`;
      const wrong = this.wrong(`${method}, ${item.type}`, () => ({ ...variant, definitions }), item);
      if (wrong) return wrong;
    }
    return undefined;
  }

  wrongConfig({ method, params }) {
    const known = this.files['codex_app_server_protocol.schemas'].definitions.v2.Config.properties;
    const unknown = Object.keys(params.config ?? {}).find((key) => !known[key]);
    return unknown && `${method}: codex knows no config ${unknown}`;
  }

  // Our answer to a request of codex: a result or an error.
  wrongAnswer(method, answer) {
    const envelope = answer.error ? 'JSONRPCError' : 'JSONRPCResponse';
    const wrong = this.wrong(`${method}, ${envelope}`, () => this.files[envelope], answer);
    if (wrong || answer.error) return wrong;
    const params = this.variant('ServerRequest', method).properties.params.$ref.split('/').at(-1);
    const response = params.replace(/Params$/, 'Response');
    if (!this.files[response]) return `${method}: codex has no ${response}`;
    return this.wrong(method, () => this.files[response], answer.result);
  }

  // The schema of a notification's params. Raw events are not on the list, but have files.
  notification(method) {
    const variant = this.variant('ServerNotification', method);
    const { definitions } = this.files.ServerNotification;
    if (variant) return { ...variant.properties.params, definitions };
    if (!method.startsWith('raw')) return undefined;
    const name = method.split('/').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
    return this.files[`v2/${name}Notification`];
  }

  wrongNotification({ method, params }) {
    return this.wrong(method, () => this.notification(method), params, false);
  }

  // As if codex had dropped or renamed a member of a call's params.
  without(method, member) {
    const name = this.variant('ClientRequest', method).properties.params.$ref.split('/').at(-1);
    const { definitions } = this.files.ClientRequest;
    const { [member]: dropped, ...properties } = definitions[name].properties;
    const altered = { ...definitions, [name]: { ...definitions[name], properties } };
    return new Protocol({ ...this.files, ClientRequest: { ...this.files.ClientRequest, definitions: altered } });
  }
}

// Between a proxy and an app-server, both on unix sockets: writes down what they say.
export class Relay {
  static async start(socket, target) {
    const relay = new Relay();
    relay.target = target;
    relay.sent = new Feed(); // by the proxy
    relay.heard = new Feed(); // by the proxy
    relay.onSent = () => true; // false: it goes no further
    relay.onHeard = () => true;
    relay.server = http.createServer();
    relay.sockets = new WebSocketServer({ server: relay.server, perMessageDeflate: false });
    relay.sockets.on('connection', (proxy) => relay.join(proxy));
    relay.server.listen(socket);
    await once(relay.server, 'listening');
    return relay;
  }

  join(proxy) {
    const codex = new WebSocket(`ws+unix:${this.target}:/`, { perMessageDeflate: false });
    const opened = withDeadline(once(codex, 'open'), 'a connection to the app-server');
    opened.catch(() => proxy.terminate());
    this.proxy = proxy;
    const pass = (feed, mayPass, to) => (data) => {
      const message = JSON.parse(data);
      feed.push(message);
      if (mayPass(message)) opened.then(() => to.send(JSON.stringify(message)), () => {});
    };
    proxy.on('message', pass(this.sent, (m) => this.onSent(m), codex));
    codex.on('message', pass(this.heard, (m) => this.onHeard(m), proxy));
    for (const [one, other] of [[proxy, codex], [codex, proxy]]) {
      one.on('close', () => other.terminate());
      one.on('error', () => {}); // followed by close
    }
  }

  // As if codex had said it.
  say(message) {
    this.proxy.send(JSON.stringify(message));
  }

  // What the proxy answers to a request of codex.
  async ask(method, params) {
    const id = `of-the-relay-${method}`;
    this.say({ id, method, params });
    return this.sent.first((m) => m.id === id && m.method === undefined, `the answer to ${method}`);
  }

  cut() {
    this.proxy.terminate();
  }

  stop() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.server.close();
  }
}
