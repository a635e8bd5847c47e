// The figures as a table, as JSON, as Markdown and as a plot.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildDir, realCodex } from '../integration/supervisor_kit.mjs';
import { isMet, measures } from './measures.mjs';
import { plot } from './plot.mjs';
import { haproxyBin } from './stand.mjs';

// More than that, and the figures are not to be relied on.
export const BUSY = 0.1;

function says(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

export function machine() {
  const commit = says('git', 'rev-parse', '--short=12', 'HEAD');
  const changed = says('git', 'status', '--porcelain', '--untracked-files=no');
  return {
    cpu: os.cpus()[0]?.model.trim(), cores: os.cpus().length, memory_mb: Math.round(os.totalmem() / 1048576),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`, compiler: says(process.env.CC || 'cc', '--version')?.split('\n')[0],
    node: process.version, haproxy: haproxyBin && says(haproxyBin, '-v')?.split('\n')[0].replace(/ - .*/, ''),
    codex: realCodex && says(realCodex, '--version'),
    commit: commit && `${commit}${changed ? ' and changes' : ''}`, date: new Date().toISOString().slice(0, 10),
  };
}

// The share of the machine that others use.
export async function busyShare() {
  const read = () => fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number);
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const spent = read().map((ticks, i) => ticks - before[i]);
  const all = spent.reduce((sum, ticks) => sum + ticks, 0);
  return (all - spent[3] - spent[4]) / all; // but for idle and iowait
}

export function number(value) {
  if (value === undefined) return '';
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3);
}

// How far the rounds were from each other.
function spread(values) {
  if (values.length < 3) return '';
  const sorted = [...values].sort((a, b) => a - b);
  return `${number(sorted[0])}..${number(sorted.at(-1))}`;
}

const verdicts = { true: 'met', false: 'NOT MET', undefined: '' };

function rows({ figures, quick }) {
  return measures.filter(({ key }) => figures[key]).map((m) => {
    const f = figures[m.key];
    const unit = m.unit ? ` ${m.unit}` : '';
    return {
      measure: m, name: m.name, value: `${number(f.value)}${unit}`, range: spread(f.values),
      floor: f.floor === undefined ? '' : `${number(f.floor)} (${m.floor})`,
      times: f.floor ? `${(f.value / f.floor).toFixed(2)}` : '',
      budget: m.budget === undefined ? '' : `${m.least ? '>=' : '<='} ${m.budget.toLocaleString('en-US')}`,
      predecessor: m.predecessor === undefined ? '' : String(m.predecessor), verdict: quick ? '' : verdicts[isMet(m, f.value)], // small counts tell nothing
    };
  });
}

const columns = [
  ['name', 'measure'], ['value', 'codex-proxy'], ['range', 'rounds'], ['floor', 'floor'], ['times', 'x floor'], ['budget', 'budget'],
  ['predecessor', 'predecessor'], ['verdict', ''],
];

function table(all) {
  const width = Object.fromEntries(columns.map(([key, title]) => [key, Math.max(title.length, ...all.map((r) => r[key].length))]));
  const line = (cell) => columns.map(([key, title]) => (key === 'name' ? cell(key, title).padEnd(width[key]) : cell(key, title).padStart(width[key]))).join('  ').trimEnd();
  return [line((_, title) => title), ...all.map((r) => line((key) => r[key]))].join('\n');
}

// Where the CPU time of the proxy goes, in percent.
function profileTable(profiles, line) {
  const kinds = ['requests', 'burst', 'mixed', 'paced'].filter((kind) => profiles[kind]);
  if (kinds.length === 0) return [];
  const names = { requests: 'requests', burst: 'burst', mixed: 'one each 1 ms', paced: 'one each 10 ms' };
  const parts = [...new Set(kinds.flatMap((kind) => Object.keys(profiles[kind])))];
  return [
    'Where its CPU time goes, in percent (perf):', '',
    line(['', ...kinds.map((kind) => names[kind])]), line(['---', ...kinds.map(() => '---:')]),
    ...parts.map((part) => line([part, ...kinds.map((kind) => String(profiles[kind][part] ?? ''))])), '',
  ];
}

function markdown(result, all) {
  const { machine: m } = result;
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    `Commit ${m.commit}, ${m.date}: ${m.cores} cores of ${m.cpu}, ${m.memory_mb} MB, ${m.kernel}; ${m.compiler}; ${m.haproxy}; Node ${m.node}` +
      `${m.codex ? `; ${m.codex}` : ''}.${result.busy > BUSY ? ` **Others used ${Math.round(100 * result.busy)} % of the machine before.**` : ''}`,
    '',
    line(columns.map(([, title]) => title)), line(columns.map(([key]) => (key === 'name' ? '---' : '---:'))),
    ...all.map((r) => line(columns.map(([key]) => r[key].replace(/^NOT MET$/, '**not met**')))),
    '',
    ...profileTable(result.profiles, line),
  ].join('\n');
}

// The page is written by hand, but for what is between its two marks.
function intoDocs(text, picture) {
  const docs = path.join(path.dirname(new URL(import.meta.url).pathname), '../../docs');
  const page = path.join(docs, 'performance.md');
  const [mark, end] = ['<!-- make bench-doc -->\n', '<!-- end of it -->\n'];
  const [before, rest] = fs.readFileSync(page, 'utf8').split(mark);
  const [, after] = rest.split(end);
  fs.writeFileSync(page, `${before}${mark}${text}${end}${after}`);
  if (picture) fs.writeFileSync(path.join(docs, 'performance.svg'), picture);
}

export function report(result, flags) {
  const all = rows(result);
  const outDir = flags.out ?? path.join(buildDir, 'bench');
  fs.mkdirSync(outDir, { recursive: true });
  fs.writeFileSync(path.join(outDir, 'bench.json'), JSON.stringify(result, null, 2) + '\n');
  fs.writeFileSync(path.join(outDir, 'bench.md'), markdown(result, all));
  const picture = plot(result, number);
  if (picture) fs.writeFileSync(path.join(outDir, 'bench.svg'), picture);
  if (flags.doc) intoDocs(markdown(result, all), picture);
  console.log(table(all));
  console.log(`${path.relative('.', outDir)}/bench.json, .md, .svg; ${result.seconds} s`);
}
