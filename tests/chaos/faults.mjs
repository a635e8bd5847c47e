// What is done to the pair, how it is undone, and what a caller may notice of it meanwhile.
//
// A fault is a function of (context, arguments) that ends when everything has been undone. It returns
// what kept it from being done, if something did. Context: {world, timeline, load, oracle, r}.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { rudeCallers } from './load.mjs';
import { filesOf } from './proc.mjs';

// So long after it is undone somebody may still feel it: a new app-server has to start, one that
// failed again and again waits up to 2 s for that.
const RECOVERY_MS = 6000;
// So long the kernel and the callers here take to notice the end of a process.
const NOTICE_MS = 500;
// Whatever was done, the pair serves again within that time.
const READY_MS = 40000;

// Callers may notice that: interval `what`, for as long as fn takes and the time after.
async function during({ timeline }, what, allows, fn, later = RECOVERY_MS) {
  const interval = timeline.open(what, ...allows);
  try {
    return await fn();
  } finally {
    timeline.close(interval, later);
  }
}

async function backInService({ world, oracle }, what) {
  await world.ready(READY_MS).catch(() => oracle.object(`not ready ${READY_MS} ms after ${what}`));
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // it had gone by itself
    }
  }
}

async function killSupervisor(context, name) {
  const { world, timeline } = context;
  const graceful = name === 'SIGTERM';
  const begin = Date.now();
  const old = world.supervisor;
  world.expected = name;
  // a graceful end refuses new callers only
  const gone = timeline.open(`supervisor gets ${name}`, graceful ? 'refused' : 'cut', 'refused', 'error', 'slow');
  old.kill(name);
  while (world.supervisor === old && Date.now() - begin < READY_MS) await sleep(20);
  await backInService(context, `${name} of the supervisor`);
  timeline.close(gone, NOTICE_MS);
}

async function killProxy(context, name) {
  const { world, timeline } = context;
  const cut = timeline.open(`proxy gets ${name}`, ...(name === 'SIGTERM' ? [] : ['cut']));
  const state = world.lastProxyState();
  signal(world.pidsOf('proxy'), name);
  timeline.close(cut, NOTICE_MS);
  // The listening socket stays: who comes now waits in it. But one that ends before it was ready counts
  // as a failed start, after which callers are refused (docs/ecosystem.md) until the next attempt.
  await during(context, 'no proxy', state === 'starting' ? ['refused', 'error', 'slow'] : ['error', 'slow'], () => backInService(context, `${name} of the proxy`), NOTICE_MS);
}

const limited = new Map(); // pid: {soft, hard, count} of limits that are not undone yet

// The files that a process may still open: so many more than it has. Undone by the limit that it had
// before the first of those that overlap: the one found by a later one is no limit of its own.
function limitFiles(pid, spare) {
  const limit = (value) => execFileSync('prlimit', ['--pid', pid, `--nofile=${value}`], { stdio: 'ignore' });
  const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'));
  const before = limited.get(pid) ?? { soft, hard, count: 0 };
  before.count++;
  limited.set(pid, before);
  limit(`${filesOf(pid) + spare}:${before.hard}`);
  return () => {
    if (--before.count > 0) return;
    limited.delete(pid);
    limit(`${before.soft}:${before.hard}`);
  };
}

function idleConnections(where, count) {
  const sockets = Array.from({ length: count }, () => net.connect(where).on('error', () => {}));
  return () => sockets.forEach((socket) => socket.destroy());
}

function fillDisk(root) {
  const file = path.join(root, 'filler');
  const fd = fs.openSync(file, 'w');
  const block = Buffer.alloc(65536);
  try {
    for (;;) if (fs.writeSync(fd, block) === 0) break;
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  } finally {
    fs.closeSync(fd);
  }
  return () => fs.rmSync(file, { force: true });
}

export const faults = {
  async kill(context, { who, signal: name }) {
    if (who === 'supervisor') return killSupervisor(context, name);
    if (who === 'proxy') return killProxy(context, name);
    await during(context, `app-server gets ${name}`, ['error'], async () => {
      signal(context.world.pidsOf(who), name);
      await backInService(context, `${name} of the app-server`);
    });
  },

  async pause(context, { who, ms }) {
    const pids = context.world.pidsOf(who);
    const allows = who === 'proxy' ? ['error', 'slow'] : ['error'];
    await during(context, `${who} is stopped`, allows, async () => {
      signal(pids, 'SIGSTOP');
      await sleep(ms);
      signal(pids, 'SIGCONT');
    });
  },

  async hang(context, { ms }) {
    if (context.world.real) return 'the real codex does not hang on demand';
    await during(context, 'app-server hangs', ['error'], async () => {
      await context.world.order(`hang ${ms}`);
      await sleep(ms);
    });
  },

  async garbage(context) {
    if (context.world.real) return 'the real codex sends no garbage';
    await during(context, 'app-server sends garbage', [], () => context.world.order('garbage'));
  },

  async drop(context, { how }) {
    if (context.world.real) return 'the real codex drops no connection on demand';
    await during(context, `app-server: ${how}`, ['error'], () => context.world.order(how));
  },

  async socket(context, { which }) {
    const { world } = context;
    const files = which === 'control' ? [path.join(world.runtime, 'control.sock')] : world.appSockets;
    await during(context, `no socket of ${which}`, ['error'], async () => {
      for (const file of files) fs.rmSync(file, { force: true });
      await sleep(2000); // three looks
    });
  },

  async disk(context, { ms }) {
    const { world } = context;
    if (!world.isMounted) return 'no disk of its own: that needs root';
    await during(context, 'the disk is full', world.real ? ['error'] : [], async () => {
      const undo = fillDisk(world.root);
      await sleep(ms);
      undo();
    });
  },

  async clock(context, { who, hours, ms }) {
    const { world } = context;
    if (!world.hooks) return 'nothing can be preloaded into this build';
    await during(context, `the clock of the ${who} jumps by ${hours} h`, [], async () => {
      world.hooks[who].set({ clock_ms: hours * 3600000 });
      await sleep(ms);
      world.hooks[who].set({ clock_ms: 0 });
    });
  },

  async files(context, { who, spare, ms }) {
    const { world } = context;
    // a supervisor without files cannot start a proxy: who comes then is refused
    const allows = who === 'proxy' ? ['cut', 'refused', 'error', 'slow'] : ['refused', 'error'];
    await during(context, `${who} has ${spare} more files`, allows, async () => {
      const undo = world.pidsOf(who).map((pid) => limitFiles(pid, spare));
      const where = who === 'proxy' ? { port: world.port, host: '127.0.0.1' } : { path: path.join(world.runtime, 'control.sock') };
      const close = idleConnections(where, spare + 4);
      await sleep(ms);
      for (const fn of undo) {
        try {
          fn();
        } catch {
          // the process is gone
        }
      }
      close();
    });
  },

  async memory(context, { who, at, run }) {
    const { world } = context;
    if (!world.hooks) return 'nothing can be preloaded into this build';
    const hook = world.hooks[who];
    await during(context, `allocation ${at} of the ${who} fails, ${run} more`, who === 'proxy' ? ['cut', 'error'] : ['error'], async () => {
      if (who === 'supervisor') world.expected ??= 'memory';
      hook.set({ fail_run: run, fail_at: at });
      // the supervisor needs none for most of what happens: it is given something to do
      if (who === 'supervisor') for (const command of ['status', 'restart app-server', 'reload']) await world.cli(...command.split(' '));
      for (let waited = 0; hook.get('fail_at') > 0 && waited < 3000; waited += 20) await sleep(20);
      hook.set({ fail_at: 0, fail_run: 0 });
      await backInService(context, `a failed allocation of the ${who}`);
    }, NOTICE_MS);
  },

  async provider(context, { mood, ms }) {
    const { load } = context;
    await during(context, `the model is ${mood}`, ['error'], async () => {
      load.mood = mood;
      await sleep(ms);
      load.mood = undefined;
    });
  },

  async operator(context, { command }) {
    const { world } = context;
    const drained = command === 'drain app-server';
    await during(context, `operator: ${command}`, drained ? ['error'] : [], async () => {
      if (command === 'SIGHUP') return signal([world.supervisor.pid], 'SIGHUP');
      await world.cli(...command.split(' '));
      if (drained) await world.cli('start', 'app-server');
    });
  },

  async client({ world, timeline, r }, args) {
    await during({ timeline }, `callers: ${args.count} ${args.how}`, [], () => rudeCallers(world.port, args, r));
  },
};
