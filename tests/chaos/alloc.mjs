// Memory that runs out step by step: the first allocation fails, then the second one, ... of a start, and
// of one request of each kind. Each time: a right answer of which nothing is missing, or a well-formed
// error. Only a start may end, with one line and exit code 70. Never a crash, never a hang.
//
//   node tests/chaos/alloc.mjs [PART]...      ALLOC_STEP=1 (each so many-th), ALLOC_RUN=0 (so many more
//                                             fail). For what was wrong it is told where it failed.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { FakeAppServer } from '../integration/pair_kit.mjs';
import { Program } from '../integration/program.mjs';
import { ask } from '../integration/http_kit.mjs';
import { buildDir, freePort, until, withDeadline } from '../integration/supervisor_kit.mjs';
import { Hook, hookable } from './hook.mjs';
import { exchange } from './request.mjs';
import { DEADLINE_MS, Oracle } from './oracle.mjs';
import { Timeline } from './timeline.mjs';
import { World, keys } from './world.mjs';

const step = Number(process.env.ALLOC_STEP || 1);
const run = Number(process.env.ALLOC_RUN || 0);
const first = Number(process.env.ALLOC_FIRST || 1);
const GAVE_UP = 70;
const START_MS = 10000;
// The proxy tries an app-server again after 5 s at the latest.
const BACK_MS = 7000;

const root = fs.mkdtempSync('/tmp/alloc-');
const wrong = [];
const tally = {};

function note(part, n, outcome, isRight, detail = () => '') {
  (tally[part] ??= {})[outcome] = (tally[part][outcome] ?? 0) + 1;
  if (isRight) return;
  wrong.push({ part, n, outcome });
  console.log(`WRONG: ${part}, allocation ${n}: ${outcome}\n${detail()}`);
}

// Addresses of frames as names: where it failed.
function whereOf(log) {
  const frames = [...log.matchAll(/^(\S*codex-(?:proxy|supervisor))\(\+(0x[0-9a-f]+)\)/gm)];
  if (frames.length === 0) return '';
  return execFileSync('addr2line', ['-fpse', frames[0][1], ...frames.slice(0, 100).map(([, , address]) => address)]).toString();
}

// Of a connection without memory for itself nothing can be said to anybody: libwebsockets closes it while
// it adopts it, before anything has been read. Not by the number of the allocation: others than those of
// this connection count too, such as those of the sweep.
const isAdopting = (log) => /^on_connectable at server\.c/m.test(whereOf(log));

class HookedProxy extends Program {
  static async start(url, hook) {
    const port = await freePort();
    const proxy = new HookedProxy(path.join(buildDir, 'codex-proxy'), [], {
      env: {
        PATH: process.env.PATH, HOME: root, CODEX_RUNTIME_DIR: root, CODEX_PROXY_PORT: String(port),
        CODEX_PROXY_API_KEY: keys[0], CODEX_PROXY_RATE_LIMIT: '0', CODEX_APP_SERVER_URL: url,
        CODEX_LOG_FORMAT: 'json', CODEX_FIRST_EVENT_TIMEOUT_MS: '3000', CODEX_IDLE_TIMEOUT_MS: '3000',
        CODEX_PROXY_TIMEOUT_MS: '12000', CODEX_QUEUE_TIMEOUT_MS: '6000', CODEX_DEGRADATION_THRESHOLD: '1000', CODEX_DRAIN_TIMEOUT_MS: '2000', CODEX_ORPHAN_SWEEP_INTERVAL_MS: '200', ...hook.env,
      },
      more: ['ipc'],
    });
    proxy.port = port;
    proxy.isReady = new Promise((resolve) => proxy.process.once('message', () => resolve('ready')));
    return proxy;
  }
}

// 'ready', or how it ended.
async function startOf(program) {
  const ended = program.exited.then(({ code, signal }) => signal ?? `exit code ${code}`);
  return withDeadline(Promise.race([program.isReady, ended]), 'a start', START_MS).catch(() => 'neither ready nor ended');
}

// fn(n, hook): one try. Until there are fewer allocations than that.
async function steps(fn, { hook }) {
  for (let n = first; ; n += step) {
    hook.set({ failed: 0, trace: 1, fail_run: run, fail_at: n });
    await fn(n);
    const failed = hook.get('failed');
    hook.set({ fail_at: 0, fail_run: 0 });
    if (failed === 0) return;
  }
}

async function proxyStart(fake) {
  const hook = new Hook(path.join(root, 'hook-start'));
  await steps(async (n) => {
    const proxy = await HookedProxy.start(fake.url, hook);
    const outcome = await startOf(proxy);
    hook.set({ fail_at: 0 });
    if (outcome === 'ready') {
      const { code, signal } = await proxy.kill('SIGTERM');
      note('proxy starts', n, outcome, code === 0, () => `  ended with ${signal ?? code}\n${proxy.logText}`);
      return;
    }
    // a start that fails says why; frames of ALLOC_TRACE do not count
    const lines = proxy.log.all.filter((l) => !/^\S+\(.*\[0x/.test(l.text)).length;
    note('proxy starts', n, `${outcome}`, outcome === `exit code ${GAVE_UP}` && lines >= 1, () => `${proxy.logText}\n  ${whereOf(proxy.logText)}`);
    await proxy.kill();
  }, { hook });
}

const said = { text: 'mk0-0 mk0-1 ' };
const say = '!say 2 0 mk0-';
const tool = { name: 'f', parameters: { type: 'object', properties: {} } };
const call = { call: { name: 'f', arguments: '{"a":1}' } };
const chat = (more, content = say) => ({ path: '/v1/chat/completions', json: { messages: [{ role: 'user', content }], ...more } });
const respond = (more, input = say) => ({ path: '/v1/responses', json: { input, ...more } });

const requests = {
  chat: { ...chat(), expects: said },
  'chat stream': { ...chat({ stream: true }), expects: said },
  'chat tool': { ...chat({ tools: [{ type: 'function', function: tool }] }, '!tool f {"a":1}'), expects: call },
  'chat with usage, history and a schema': { ...chat({ stream: true, stream_options: { include_usage: true }, response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } }, messages: [{ role: 'system', content: 'a' }, { role: 'user', content: 'b' }, { role: 'assistant', content: 'c' }, { role: 'user', content: say }] }), expects: said },
  'chat that fails': { ...chat({}, '!fail "serverOverloaded" x'), expects: { text: '' } },
  responses: { ...respond(), expects: said },
  'responses stream': { ...respond({ stream: true }), expects: said },
  'responses tool': { ...respond({ tools: [{ type: 'function', ...tool }], stream: true }, '!tool f {"a":1}'), expects: call },
  'no key': { ...chat(), key: 'nobody', expects: { status: 401 } },
  'no JSON': { path: '/v1/chat/completions', body: '{"messages":[', expects: { status: 400 } },
  'a wrong parameter': { ...chat({ messages: 3 }), expects: { status: 400 } },
  'no such path': { path: '/v1/none', body: '{}', expects: { status: 404 } },
};
const gets = ['/metrics', '/v1/models', '/readyz', '/healthz'];

// A stream that has begun can say no more when its next piece finds no memory.
const mayBeCut = (x, log) => x.over === 'cut' && (x.status === 200 ? /event-stream/.test(x.type) : isAdopting(log));

// What is there, without what it says: a member that found no memory must not just be missing.
const shapeOf = (value) => {
  if (Array.isArray(value)) return `[${[...new Set(value.map(shapeOf))].sort()}]`;
  if (value === null || typeof value !== 'object') return typeof value;
  return `{${Object.keys(value).sort().map((key) => `${key}:${shapeOf(value[key])}`)}}`;
};

// Of each event of a stream, of each line of the metrics, or of all of it.
function shapesOf({ type, text }) {
  if (/event-stream/.test(type)) return text.split('\n').filter((l) => l.startsWith('data: {')).map((l) => shapeOf(JSON.parse(l.slice(6))));
  if (/json/.test(type)) return [text === '' ? text : shapeOf(JSON.parse(text))];
  return text.split('\n').map((line) => line.replace(/[{ ].*/, ''));
}

// undefined: it has every shape of the right answer, and no other one.
function differs(x, right) {
  if (x.text === '{"status":"ready"}') return undefined; // of /readyz: all that it says without memory
  const [has, shall] = [new Set(shapesOf(x)), new Set(shapesOf(right))];
  const [more] = [...has].filter((shape) => !shall.has(shape));
  const [less] = [...shall].filter((shape) => !has.has(shape));
  return more ? `not of the right answer: ${more}` : less && `without ${less}`;
}

async function proxyRequests(fake) {
  const hook = new Hook(path.join(root, 'hook-requests'));
  let proxy;
  const alive = async () => {
    if (proxy?.running) return;
    hook.set({ fail_at: 0 });
    proxy = await HookedProxy.start(fake.url, hook);
    await withDeadline(proxy.isReady, 'the proxy to be ready');
  };
  // undefined: nobody answers, and if that is because the proxy has ended, this is known then
  const asked = (what) => ask(proxy.port, what).catch(() => withDeadline(proxy.exited, 'an end', 1000).then(() => {}, () => {}));
  const until200 = () => until(async () => (await asked({ path: '/readyz' }))?.status === 200, 'ready', BACK_MS).then(() => true, () => false);
  await alive();
  const oracle = new Oracle(new Timeline());
  oracle.timeline.open('memory', 'error');
  const plans = [...Object.entries(requests), ...gets.map((where) => [where, { path: where, method: 'GET', expects: {} }])];
  for (const [name, plan] of plans) {
    const body = plan.body ?? (plan.json && JSON.stringify(plan.json));
    const headers = { authorization: `Bearer ${plan.key ?? keys[0]}`, ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }) };
    const one = () => exchange(proxy.port, { path: plan.path, method: plan.method, body, headers, kill_ms: DEADLINE_MS + 5000 });
    const right = await one();
    const judge = (x, log) => {
      if (mayBeCut(x, log)) return { verdict: 'cut' };
      const isGet = plan.method === 'GET' && x.over === 'whole' && [200, 500, 503].includes(x.status);
      const judged = isGet ? { verdict: x.status === 200 ? 'right' : 'error' } : oracle.verdict({ name, marker: 'mk0', ...plan }, x);
      const why = judged.verdict === 'right' && x.status === right.status && differs(x, right);
      return why ? { verdict: 'objection', why } : judged;
    };
    await steps(async (n) => {
      const from = proxy.log.mark;
      const log = () => proxy.log.all.slice(from).map((l) => l.text).join('\n');
      const x = await one();
      hook.set({ fail_at: 0, fail_run: 0 });
      await new Promise((resolve) => setTimeout(resolve, x.over === 'whole' ? 1 : 50));
      const answer = await asked({ path: '/readyz' });
      if (!proxy.running) {
        note(name, n, `proxy: ${proxy.process.signalCode ?? proxy.process.exitCode}`, false, () => `${log()}\n  ${whereOf(log())}`);
        return alive();
      }
      const { verdict, why } = judge(x, log());
      note(name, n, why ?? verdict, verdict !== 'objection', () => `  ${x.marks.join(', ')}\n  ${whereOf(log())}`);
      if (answer?.status !== 200) note(name, n, `not ready afterwards: ${answer?.text}`, await until200(), log);
      if (!(await isAtRest(proxy))) note(name, n, 'not at rest', false, () => `${answer?.text} ${whereOf(log())}`);
    }, { hook });
  }
  note('proxy at its end', 0, ...(await proxy.kill('SIGTERM').then(({ code, signal }) => [`${signal ?? code}`, code === 0])), () => proxy.logText);
}

const isAtRest = (proxy) => until(async () => {
  const { text } = await ask(proxy.port, { path: '/metrics', key: keys[0] });
  const is = (gauge, n) => text.includes(`\ncodex_sidecar_${gauge} ${n}\n`);
  return is('turns_in_flight', 0) && is('turns_queued', 0) && is('threads', 0) && is('requests_in_work', 1) && is('connections', 1);
}, 'rest', 3000).then(() => true, () => false);

// A supervisor that starts the whole pair, and is asked for what it knows. It ends with 70, or goes on.
async function supervisorStart() {
  const world = new World({ folder: path.join(root, 'world') });
  await world.start();
  await world.stop();
  const hook = world.hooks.supervisor;
  const log = (from) => world.logText().slice(from);
  await steps(async (n) => {
    const from = world.logText().length;
    world.spawnSupervisor();
    const { supervisor } = world;
    const ended = once(supervisor, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
    const ready = world.ready(START_MS).then(() => 'ready', () => 'neither ready nor ended');
    const outcome = await Promise.race([ended, ready]);
    const isRight = outcome === 'ready' || outcome === `exit code ${GAVE_UP}`;
    note('supervisor starts', n, outcome, isRight, () => `${log(from).slice(-2500)}\n  ${whereOf(log(from))}`);
    hook.set({ fail_at: 0 });
    if (outcome.startsWith('exit') || outcome.startsWith('SIG')) return;
    supervisor.kill('SIGTERM');
    const end = await withDeadline(ended, 'the end of the supervisor', START_MS).catch(() => 'no end');
    if (end === 'no end') supervisor.kill('SIGKILL');
    note('supervisor ends', n, end, end === 'exit code 0', () => `${log(from).slice(-2500)}\n  ${whereOf(log(from))}`);
  }, { hook });
  await world.dispose();
}

const questions = ['status', 'describe', 'logs', 'version'];

async function supervisorRequests() {
  const world = new World({ folder: path.join(root, 'world') });
  await world.start();
  const hook = world.hooks.supervisor;
  for (const name of [...questions, 'restart', 'reload']) {
    await steps(async (n) => {
      const from = world.logText().length;
      const [code, signal] = name in { restart: 0, reload: 0 } ? await world.cli(name, ...(name === 'restart' ? ['app-server'] : []))
        : await world.control(name, { describe: { app: 'all' }, logs: { app: 'proxy' } }[name]).then(() => [0], (error) => [error.message]);
      hook.set({ fail_at: 0, fail_run: 0 });
      const detail = () => `${world.logText().slice(from).slice(-2500)}\n  ${whereOf(world.logText().slice(from))}`;
      const [end] = world.ends.splice(0);
      if (end) note(`supervisor: ${name}`, n, `ended: ${end.signal ?? end.code}`, false, detail);
      else note(`supervisor: ${name}`, n, `${signal ?? code}`.slice(0, 60), code !== null && !/waited/.test(code), detail);
      await world.ready().catch(() => note(`supervisor: ${name}`, n, 'not ready again', false, detail));
    }, { hook });
  }
  await world.stop();
  await world.dispose();
}

const parts = {
  'proxy-start': proxyStart,
  'proxy-requests': proxyRequests,
  'supervisor-start': supervisorStart,
  'supervisor-requests': supervisorRequests,
};

if (!hookable) {
  console.log('nothing can be preloaded into this build');
  process.exit(0);
}
const fake = await FakeAppServer.start(`unix://${root}/a.sock`);
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)) await parts[name](fake);
await fake.kill();
fs.rmSync(root, { recursive: true, force: true });
for (const [part, outcomes] of Object.entries(tally)) console.log(`${part}: ${Object.entries(outcomes).map(([o, n]) => `${n} ${o}`).join(', ')}`);
console.log(`${wrong.length} wrong`);
process.exit(wrong.length > 0 ? 1 : 0);
