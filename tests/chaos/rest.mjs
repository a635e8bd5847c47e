// What has to be so when nothing is asked and nothing is wrong any more; and after the end.
import { AppServerClient } from '../integration/app_server_client.mjs';
import { ask } from '../integration/http_kit.mjs';
import { complaints } from '../integration/program.mjs';
import { buildDir, descendantsOf, until } from '../integration/supervisor_kit.mjs';
import { calmLoad, markerPattern } from './load.mjs';
import { Oracle } from './oracle.mjs';
import { filesOf, memoryOf, processes, threadsOf } from './proc.mjs';
import { Timeline } from './timeline.mjs';
import { keys } from './world.mjs';

const READY_MS = 40000;
const SETTLE_MS = 15000;
// A thread that an app-server does not confirm to be gone is waited for as long as a call may take, 30 s.
const THREADS_MS = 35000;
// An app-server whose socket is gone is replaced; after one replacement the next comes 30 s later at the
// earliest, then 60, then 120 (supervisor/tend.c), and one of them may have found no files or no memory.
const SOCKET_MS = 125000;
// Calm load in rounds, each of so many requests. What a process holds after one goes up and down by a
// megabyte, as bodies and answers meet; what it leaks is there after each: so the least of the last
// ones is compared with the most of the first ones.
const ROUNDS = 6;
const ROUND_REQUESTS = 60;
const ROUND_GROWTH_KB = 512;
// A process that has just been started still grows to what the load needs.
const WARM_REQUESTS = 120;

const gauges = ['turns_in_flight', 'turns_queued', 'threads', 'connections', 'requests_in_work'];
// The one who asks is there himself.
const atRest = { connections: 1, requests_in_work: 1 };

async function gaugesOf(world) {
  const { text } = await ask(world.port, { path: '/metrics', key: keys[0] });
  return Object.fromEntries(gauges.map((name) => [name, Number(new RegExp(`^codex_sidecar_${name} (\\d+)`, 'm').exec(text)?.[1])]));
}

export const isAtRest = async (world) => restOf(await gaugesOf(world)) === true;

const figuresOf = (pid) => ({ files: filesOf(pid), threads: threadsOf(pid) });

export async function baseOf(world) {
  await until(async () => (await gaugesOf(world)).connections === 1, 'the connections to be closed');
  return { proxy: figuresOf(world.pidsOf('proxy')[0]), supervisor: figuresOf(world.supervisor.pid) };
}

// Waits for it, since ends take their time; an objection with the last answer when it does not come.
async function holds(oracle, what, fn, ms = SETTLE_MS) {
  let last;
  await until(async () => {
    try {
      last = await fn();
    } catch (error) {
      last = error.message;
    }
    return last === true;
  }, what, ms).catch(() => oracle.object(what, `  ${JSON.stringify(last)}`));
}

// A file may be left of an app-server that was killed; who is replaced takes another one.
async function threadsLeft(world) {
  let asked = 0;
  for (const file of world.appSockets) {
    const client = await AppServerClient.connect(`unix://${file}`).catch((error) => {
      if (error.code !== 'ECONNREFUSED') throw error;
    });
    if (!client) continue;
    asked++;
    try {
      const left = await client.loadedThreads();
      if (left.length > 0) return `${file}: ${left}`;
    } finally {
      client.close();
    }
  }
  return asked === world.instances || `${asked} app-servers answer, not ${world.instances}`;
}

function strayProcesses(world) {
  const ours = new Set([world.supervisor.pid, ...descendantsOf(world.supervisor.pid)]);
  const expected = 2 + world.instances;
  const zombies = processes().filter((p) => p.state === 'Z' && ours.has(p.ppid));
  if (zombies.length > 0) return `zombies: ${zombies.map((p) => p.name)}`;
  return ours.size === expected || `${ours.size} processes, not ${expected}: ${processes().filter((p) => ours.has(p.pid)).map((p) => `${p.pid} ${p.name}`)}`;
}

// KB after each round.
async function heldInRounds(world, oracle, calm, seed, kill_ms) {
  const held = { proxy: [], supervisor: [] };
  for (let i = 0; i < ROUNDS; i++) {
    await calmLoad(world, `${seed} ${i}`, ROUND_REQUESTS, (...x) => calm.judge(...x), { kill_ms });
    await holds(oracle, 'after calm load the gauges are at rest', async () => restOf(await gaugesOf(world)));
    for (const who of ['proxy', 'supervisor']) held[who].push(memoryOf(world.pidsOf(who)[0]).dirty);
  }
  return held;
}

const grownIn = (kb) => Math.min(...kb.slice(ROUNDS / 2)) - Math.max(...kb.slice(0, ROUNDS / 2));

// The heap may step up once, by the largest body (600 KB) that was met at its end, and stay there. What
// is leaked with each request shows in the next rounds as well. A sanitizer keeps what is freed, and looks
// for leaks by itself.
async function rounds(world, oracle, seed, kill_ms) {
  const calm = new Oracle(new Timeline());
  await calmLoad(world, `${seed} warm`, WARM_REQUESTS, (...x) => calm.judge(...x), { atOnce: 16, kill_ms });
  const held = await heldInRounds(world, oracle, calm, seed, kill_ms);
  const grown = Object.keys(held).filter((who) => grownIn(held[who]) > ROUND_GROWTH_KB && !/san/.test(buildDir));
  const again = grown.length > 0 ? await heldInRounds(world, oracle, calm, `${seed} again`, kill_ms) : undefined;
  for (const who of grown) {
    if (grownIn(again[who]) > ROUND_GROWTH_KB) oracle.object(`the ${who} grows by what it is asked: KB after each round: ${held[who]}, ${again[who]}`);
  }
  calm.objections.forEach((o) => oracle.object(`with nothing wrong any more: ${o.what}`, o.detail));
}

const restOf = (values) => gauges.every((name) => values[name] === (atRest[name] ?? 0)) || JSON.stringify(values);

export async function assertAtRest(world, base, oracle, seed, kill_ms) {
  await holds(oracle, 'all is ready again', async () => {
    const { apps, ready } = await world.control('status');
    const bad = apps.filter((a) => a.state !== 'ready');
    return (ready && bad.length === 0) || JSON.stringify(bad);
  }, READY_MS);
  await holds(oracle, 'the gauges are at rest', async () => restOf(await gaugesOf(world)), THREADS_MS);
  await rounds(world, oracle, seed, kill_ms);
  // a provider that has failed is trusted again when a request went well
  await holds(oracle, '/readyz is 200', async () => (await world.readyz()).status === 200 || (await world.readyz()).text);
  await holds(oracle, 'status: nothing in flight', async () => {
    const { proxy } = await world.control('status');
    return (proxy.in_flight === 0 && proxy.queued === 0 && proxy.threads === 0) || JSON.stringify(proxy);
  });
  await holds(oracle, 'no thread is left in the app-servers', () => threadsLeft(world), SOCKET_MS);
  await holds(oracle, 'no process is left over', () => strayProcesses(world));
  for (const who of ['proxy', 'supervisor']) {
    await holds(oracle, `files and threads of the ${who} are as before: ${JSON.stringify(base[who])}`, () => {
      const now = figuresOf(world.pidsOf(who)[0]);
      return (now.files <= base[who].files && now.threads <= base[who].threads) || JSON.stringify(now);
    });
  }
}

// SIGTERM, exit code 0, nobody left; and the log, now that it is complete.
export async function assertWellEnded(world, oracle) {
  const { code, signal, left } = await world.stop();
  if (code !== 0) oracle.object(`the supervisor ended with ${signal ?? `exit code ${code}`}`);
  if (left.length > 0) oracle.object(`processes are left behind: ${left}`);
  for (const end of world.ends.slice(0, -1)) {
    if (end.expected === undefined) oracle.object(`a supervisor ended by itself, ${end.signal ?? `exit code ${end.code}`}`);
    if (end.expected === 'memory' && end.code !== 70) oracle.object(`a supervisor without memory ended with ${end.signal ?? `exit code ${end.code}`}`);
  }
  const log = world.logText();
  for (const secret of [...keys, 'upstream-secret', '!say']) if (log.includes(secret)) oracle.object(`the log tells ${secret}`);
  const [marker] = log.match(markerPattern) ?? [];
  if (marker) oracle.object(`the log tells what was said: ${marker}`);
  const complaint = log.split('\n').find((line) => complaints.test(line));
  if (complaint) oracle.object('the log has a complaint', complaint);
}
