// Callers, each its own kind by the seed's chance. What a caller asks for holds a marker that nobody can
// guess and that the model's answer has to repeat: what is another's shows.
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { exchange } from './request.mjs';
import { generator } from './schedule.mjs';
import { keys } from './world.mjs';

export const markerPattern = /mk[0-9a-f]{16}/g;
const marker = () => `mk${randomBytes(8).toString('hex')}`;

const tool = (name) => ({ name, parameters: { type: 'object', properties: {} } });
const FILLER = 'The quick brown fox jumps over the lazy dog, again and again. '.repeat(20);

// What the model is told, and what comes of it: the text, or the call.
const said = (mk, r, most = 12) => {
  const n = r.int(1, most);
  const pause = r.pick([0, 5, 20, 50]);
  const text = n === 1 ? `${mk}-` : Array.from({ length: n }, (_, i) => `${mk}-${i} `).join('');
  return { ask: `!say ${n} ${pause} ${mk}-`, text };
};
const called = (mk) => ({ ask: `!tool f_${mk} {"of":"${mk}"}`, call: { name: `f_${mk}`, arguments: `{"of":"${mk}"}` } });

// A model that fails; each line for the fake app-server, and for the fake provider behind the real one.
const moods = {
  down: { fake: '!fail {"httpConnectionFailed":{"httpStatusCode":503}} nobody there', real: '!status 503 {"error":{"message":"down"}}' },
  busy: { fake: '!fail "serverOverloaded" too many', real: '!status 429 {"error":{"message":"too many","type":"rate_limit_error"}}' },
  cut: { fake: '!close-socket', real: '!drop' },
  silent: { fake: '!silence', real: '!hang' },
  garbage: { fake: '!garbage\n!stranger', real: '!failed garbage {"type":"no such' },
};

const chat = (content, more) => ({ path: '/v1/chat/completions', json: { messages: [{ role: 'user', content }], ...more } });
const respond = (input, more) => ({ path: '/v1/responses', json: { input, store: false, ...more } });
const chatTool = (mk) => ({ tools: [{ type: 'function', function: tool(`f_${mk}`) }] });
const respondTool = (mk) => ({ tools: [{ type: 'function', ...tool(`f_${mk}`) }] });

// name: how often, and a plan: {path, json | body, expects, ...options of exchange()}.
// expects: {text} or {call} of a right answer, or {status}: what a mistake of the caller's gets.
const callers = {
  chat: { weight: 5, plan: (r, mk) => { const s = said(mk, r); return { ...chat(s.ask), expects: s }; } },
  'chat stream': { weight: 8, plan: (r, mk) => { const s = said(mk, r, 40); return { ...chat(s.ask, { stream: true }), expects: s }; } },
  responses: { weight: 3, plan: (r, mk) => { const s = said(mk, r); return { ...respond(s.ask), expects: s }; } },
  'responses stream': { weight: 5, plan: (r, mk) => { const s = said(mk, r, 40); return { ...respond(s.ask, { stream: true }), expects: s }; } },
  'chat tool': { weight: 3, plan: (r, mk) => { const s = called(mk); return { ...chat(s.ask, { ...chatTool(mk), stream: r.chance(0.5) }), expects: s }; } },
  'responses tool': { weight: 2, plan: (r, mk) => { const s = called(mk); return { ...respond(s.ask, { ...respondTool(mk), stream: r.chance(0.5) }), expects: s }; } },
  'leaves by time': { weight: 3, plan: (r, mk) => ({ ...chat(`!say 3 1000 ${mk}-`, { stream: r.chance(0.7) }), expects: { text: `${mk}-0 ${mk}-1 ${mk}-2 ` }, leaveAfter: { ms: r.skewed(1, 1500) } }) },
  'leaves in the text': { weight: 2, plan: (r, mk) => { const s = said(mk, r, 60); return { ...chat(s.ask, { stream: true }), expects: s, leaveAfter: { bytes: r.skewed(1, 4000) } }; } },
  'slow reader': { weight: 2, plan: (r, mk) => { const s = said(mk, r, 400); return { ...chat(s.ask.replace(/^(!say \d+) \d+/, '$1 0'), { stream: true }), expects: s, pause: { every: 16384, ms: r.int(10, 100) } }; } },
  'big body': { weight: 2, plan: (r, mk) => {
    const s = said(mk, r);
    const history = Array.from({ length: r.skewed(2, 60) }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: FILLER.repeat(r.int(1, 8)) }));
    return { ...chat(s.ask, { messages: [...history, { role: 'user', content: s.ask }], stream: r.chance(0.5) }), expects: s };
  } },
  'no key': { weight: 1, plan: (r, mk) => ({ ...chat(`!say 1 0 ${mk}`), key: 'sk-of-nobody', expects: { status: 401 } }) },
  'no JSON': { weight: 1, plan: (r, mk) => ({ path: '/v1/chat/completions', body: `{"messages":[{"role":"user","content":"${mk}`, expects: { status: 400 } }) },
  'no such path': { weight: 0.5, plan: () => ({ path: '/v1/no/such', body: '{}', expects: { status: 404 } }) },
  'no such model': { weight: 0.5, plan: (r, mk) => ({ ...chat(mk, { model: 'none-such' }), expects: { status: 404 } }) },
};

function planOf(r, mood, real) {
  const names = Object.keys(callers);
  let at = r.next() * names.reduce((sum, name) => sum + callers[name].weight, 0);
  const name = names.find((n) => (at -= callers[n].weight) < 0) ?? names[0];
  const mk = marker();
  const plan = { name, marker: mk, key: r.pick(keys), ...callers[name].plan(r, mk) };
  if (mood && plan.json && !plan.expects.status) {
    const line = moods[mood][real ? 'real' : 'fake'];
    const spoil = (text) => text.replace(/^!say .*/s, (m) => `${line}\n${m}`);
    if (plan.json.messages) plan.json.messages.at(-1).content = spoil(plan.json.messages.at(-1).content);
    else plan.json.input = spoil(plan.json.input);
    plan.mood = mood;
  }
  return plan;
}

export class Load {
  // judge(plan, exchange) is called for each request that is over. kill_ms(): nobody waits longer.
  constructor(world, seed, { callers: count = 10, think_ms = [0, 120], judge, kill_ms }) {
    Object.assign(this, { world, judge, kill_ms, think_ms });
    this.mood = undefined;
    this.markers = new Set();
    this.workers = Array.from({ length: count }, (_, i) => this.work(generator(`${seed} caller ${i}`)));
  }

  async work(r) {
    while (!this.isStopped) {
      const over = await this.one(r);
      // who is refused tries again, but not in a loop
      if (over === 'refused') await new Promise((resolve) => setTimeout(resolve, 200));
      await new Promise((resolve) => setTimeout(resolve, r.int(...this.think_ms)));
    }
  }

  async one(r) {
    const plan = planOf(r, this.mood, this.world.real);
    this.markers.add(plan.marker);
    const body = plan.body ?? JSON.stringify(plan.json);
    const headers = { authorization: `Bearer ${plan.key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-request-id': plan.marker.replace('mk', 'id') };
    const { path, leaveAfter, pause } = plan;
    const x = await exchange(this.world.port, { path, body, headers, leaveAfter, pause, kill_ms: this.kill_ms });
    this.judge(plan, x);
    return x.over;
  }

  async stop() {
    this.isStopped = true;
    await Promise.all(this.workers);
  }
}

// So many requests, some at a time, one after the other; with nothing wrong.
export async function calmLoad(world, seed, count, judge, { atOnce = 8, kill_ms }) {
  const load = new Load(world, seed, { callers: 0, judge, kill_ms });
  let left = count;
  await Promise.all(Array.from({ length: atOnce }, async (_, i) => {
    const r = generator(`${seed} calm ${i}`);
    while (left-- > 0) await load.one(r);
  }));
  return load.markers;
}

// Callers who do not speak HTTP as they should, for so long.
const rudeness = {
  'half-open': () => '',
  reset: () => 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n',
  garbage: (r) => Buffer.from(Array.from({ length: r.int(1, 3000) }, () => r.int(0, 255))),
  'slow-head': () => 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-',
  'slow-body': () => `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${keys[0]}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"mess`,
};

export async function rudeCallers(port, { how, count, ms }, r) {
  await Promise.all(Array.from({ length: count }, async () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    // not once(): that rejects with an error, and a connection may be cut or refused as any other
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(rudeness[how](r));
    const drip = setInterval(() => how.startsWith('slow') && socket.writable && socket.write('a'), 200);
    const timer = setTimeout(() => (how === 'reset' ? socket.resetAndDestroy?.() ?? socket.destroy() : socket.destroy()), how === 'reset' ? 20 : ms);
    await closed;
    clearInterval(drip);
    clearTimeout(timer);
  }));
}
