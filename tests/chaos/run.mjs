// One seed: the pair is started, driven, hurt and healed; then everything has to be as it was.
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { faults } from './faults.mjs';
import { Load, calmLoad } from './load.mjs';
import { DEADLINE_MS, Oracle } from './oracle.mjs';
import { assertAtRest, assertWellEnded, baseOf } from './rest.mjs';
import { generator, makeSchedule, printed } from './schedule.mjs';
import { Timeline } from './timeline.mjs';
import { World } from './world.mjs';

// Beyond that the oracle has objected anyway.
const KILL_MS = DEADLINE_MS + 20000;

async function hurt(context, schedule, seed) {
  const running = [];
  const skipped = {};
  for (const [i, { at_ms, fault, args }] of schedule.entries()) {
    await sleep(context.timeline.begin + at_ms - Date.now());
    const own = { ...context, r: generator(`${seed} fault ${i}`) };
    running.push(faults[fault](own, args).then((reason) => {
      if (reason) skipped[reason] = (skipped[reason] ?? 0) + 1;
    }, (error) => context.oracle.object(`the fault ${fault} itself failed`, error.stack)));
  }
  return { running, skipped };
}

export async function runSeed({ seed, seconds, only, real, folder, callers = 10 }) {
  const schedule = makeSchedule(seed, seconds, only);
  const world = new World({ folder, real, instances: 1 + (Number(seed) % 2 || 0) });
  let oracle = new Oracle(new Timeline());
  let skipped = {};
  try {
    await world.start();
    fs.writeFileSync(path.join(folder, 'schedule'), schedule.map(printed).join('\n'));
    const warm = new Oracle(new Timeline());
    await calmLoad(world, `${seed} warm`, 60, (...x) => warm.judge(...x), { kill_ms: KILL_MS });
    const base = await baseOf(world);

    oracle = new Oracle(new Timeline());
    warm.objections.forEach((o) => oracle.object(`before any fault: ${o.what}`, o.detail));
    const load = new Load(world, seed, { callers, judge: (...x) => oracle.judge(...x), kill_ms: KILL_MS });
    const context = { world, load, oracle, timeline: oracle.timeline };
    const done = await hurt(context, schedule, seed);
    skipped = done.skipped;
    await sleep(Math.max(0, oracle.timeline.begin + seconds * 1000 - Date.now()));
    await Promise.all(done.running);
    await load.stop();
    await assertAtRest(world, base, oracle, `${seed} after`, KILL_MS);
  } catch (error) {
    oracle.object('the run ended', error.stack);
  } finally {
    if (world.supervisor) await assertWellEnded(world, oracle);
    await world.dispose().catch((error) => oracle.object('something stays behind', error.stack));
    for (const name of ['hook-proxy', 'hook-supervisor']) fs.rmSync(path.join(folder, name), { force: true });
  }
  const { counts, errors, objections, slowest_ms } = oracle;
  const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0);
  const result = { seed, codex: real ? 'real' : 'fake', faults: schedule.length - sum(skipped), skipped: sum(skipped), ...counts, errors: sum(errors), kinds: errors, slowest_ms, why_skipped: skipped, objections };
  fs.writeFileSync(path.join(folder, 'result.json'), JSON.stringify(result, null, 1));
  fs.writeFileSync(path.join(folder, 'timeline'), oracle.timeline.told(0, Infinity));
  return result;
}
