// Where a process's CPU time goes while something runs, by perf (linux-perf).
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { endsWithUs, onPath, until } from '../integration/supervisor_kit.mjs';
import { sleep } from './stand.mjs';

const START_MS = 500; // until it samples, after its file is there
const TIMES = 3;
export const hasPerf = onPath('perf') !== undefined;

function report(data, ...options) {
  const text = execFileSync('perf', ['report', '-i', data, '--no-children', '--stdio', '-g', 'none', ...options],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return text.split('\n').filter((line) => /^\s+\d/.test(line)).map((line) => line.replace(/[\s-]+$/, ''));
}

// {libc: 23, ...}: percents
function byPart(data) {
  return Object.fromEntries(report(data, '--sort', 'dso', '--percent-limit', '1').map((line) => {
    const [share, name] = line.trim().split(/\s+/);
    return [name.replace('[kernel.kallsyms]', 'kernel').replace(/\.so\..*/, ''), Math.round(parseFloat(share))];
  }));
}

// data: a file to be written. Resolves to {parts, functions}; undefined where perf has no right to it.
export async function profile(pid, data, work) {
  const perf = endsWithUs(spawn('perf', ['record', '-q', '-e', 'cpu-clock', '-F', '4999', '-o', data, '-p', String(pid)], { stdio: 'ignore' }));
  const ended = once(perf, 'close');
  await until(() => fs.existsSync(data) || perf.exitCode !== null, 'perf to begin');
  await sleep(START_MS);
  for (let i = 0; i < TIMES; i++) await work(); // some of it takes a moment only
  perf.kill('SIGINT');
  await ended;
  if (perf.exitCode !== 0 && perf.signalCode !== 'SIGINT') return undefined;
  return { parts: byPart(data), functions: report(data, '--sort', 'dso,symbol', '--percent-limit', '0.5') };
}
