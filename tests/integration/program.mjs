// A program that a test has started: what it says, line by line, and how it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import assert from 'node:assert/strict';
import { endsWithUs, withDeadline } from './supervisor_kit.mjs';

// Lines end with \n and nothing else: node:readline would also cut at U+2028, which is text here.
export function onLines(stream, fn) {
  let parts = [];
  stream.on('data', (chunk) => {
    let from = 0;
    for (let at; (at = chunk.indexOf(10, from)) >= 0; from = at + 1) {
      parts.push(chunk.subarray(from, at));
      fn(Buffer.concat(parts).toString());
      parts = [];
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  });
}

// A list that grows, and those who wait for something to come into it.
export class Feed {
  constructor() {
    this.all = [];
    this.waiters = new Set();
  }

  push(value) {
    this.all.push(value);
    for (const waiter of [...this.waiters]) waiter(value);
  }

  get mark() {
    return this.all.length;
  }

  // The first from `from` on (default: all of the past too) that satisfies.
  async first(satisfies, what, from = 0) {
    const seen = this.all.slice(from).find(satisfies);
    if (seen !== undefined) return seen;
    let waiter;
    const found = new Promise((resolve) => {
      waiter = (value) => satisfies(value) && resolve(value);
      this.waiters.add(waiter);
    });
    try {
      return await withDeadline(found, what);
    } finally {
      this.waiters.delete(waiter);
    }
  }
}

export function parsed(text) {
  try {
    return { ...JSON.parse(text), text };
  } catch {
    return { text };
  }
}

export const complaints = /Sanitizer|Assertion|runtime error/;

export class Program {
  // more: what its stdio has beyond the first three, such as an 'ipc' channel
  constructor(file, args, { env = process.env, stdin = 'ignore', more = [] } = {}) {
    this.name = file.split('/').at(-1);
    this.log = new Feed(); // stderr
    this.out = new Feed(); // stdout
    this.process = endsWithUs(spawn(file, args, { env, stdio: [stdin, 'pipe', 'pipe', ...more] }));
    this.pid = this.process.pid;
    onLines(this.process.stderr, (text) => this.log.push(parsed(text)));
    onLines(this.process.stdout, (text) => this.out.push(parsed(text)));
    this.exited = once(this.process, 'close').then(([code, signal]) => ({ code, signal }));
    this.exited.catch(() => {});
  }

  get logText() {
    return this.log.all.map((line) => line.text).join('\n');
  }

  line(satisfies, what, from) {
    return this.log.first(satisfies, what, from).catch((error) => {
      error.message += `\n${this.logText}`;
      throw error;
    });
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async kill(signal = 'SIGKILL') {
    if (this.running) this.process.kill(signal);
    return withDeadline(this.exited, `the end of ${this.name}`);
  }

  // Ends well, and has had nothing to complain about.
  async stop() {
    const end = await this.kill('SIGTERM').catch(async (error) => {
      await this.kill();
      error.message += `\n${this.logText}`;
      throw error;
    });
    this.assertNoComplaint();
    assert.deepEqual(end, { code: 0, signal: null }, `${this.name} ended so:\n${this.logText}`);
  }

  assertNoComplaint() {
    assert.doesNotMatch(this.logText, complaints);
  }
}

// A program that is run to its end: {code, stdout, stderr}. ms: only a broken one comes near it.
export async function runToEnd(file, args, env, ms = 20000) {
  const child = endsWithUs(spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  assert.doesNotMatch(stdout + stderr, complaints);
  return { code, stdout, stderr };
}
