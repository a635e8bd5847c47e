// codex-supervisor check: an ecosystem file from outside.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { supervisorBin } from './supervisor_kit.mjs';

const shipped = new URL('../../units/pm2/ecosystem.json', import.meta.url).pathname;

function supervisor(...args) {
  const { status, stdout, stderr } = spawnSync(supervisorBin, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

function check(t, text) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ecosystem-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'ecosystem.json');
  fs.writeFileSync(file, text);
  return { file, ...supervisor('check', file) };
}

test('the shipped ecosystem file has no errors', () => {
  const { status, stdout, stderr } = supervisor('check', shipped);
  assert.equal(status, 0, stdout + stderr);
  assert.equal(stderr, '');
  assert.doesNotMatch(stdout, /: error: /);
  assert.match(stdout, /: 2 apps, 0 errors, /);
});

test('every mistake is told at once, with its place and the nearest right name', (t) => {
  const { status, stdout, file } = check(t, JSON.stringify({
    apps: [
      { name: 'a', script: 'x', max_restart: 3, kill_timeout: -1, watch: true },
      { name: 'a', script: 'y', wait_ready: true },
    ],
  }));
  assert.equal(status, 78);
  const lines = stdout.trimEnd().split('\n');
  for (const line of lines) assert.ok(line.startsWith(`${file}: `), line);
  const said = lines.map((line) => line.slice(file.length + 2));
  assert.ok(said.includes('error: apps[0].max_restart: no such key; is max_restarts meant?'));
  assert.ok(said.some((l) => l.startsWith('error: apps[0].kill_timeout: -1 is no time')));
  assert.ok(said.some((l) => l.startsWith('warning: apps[0].watch: no use here')));
  assert.ok(said.some((l) => l.startsWith('note: apps[1].wait_ready: ')));
  assert.ok(said.includes('error: apps[1].name: there are two named a'));
  assert.match(said.at(-1), /^2 apps, 3 errors, 1 warning, 3 notes$/);
});

test('what is no JSON is told with its line', (t) => {
  const { status, stdout } = check(t, '{"apps":\n [,]}');
  assert.equal(status, 78);
  assert.match(stdout, /: error: line 2, column 3: /);
});

test('a file that cannot be read', () => {
  const missing = supervisor('check', '/nonexistent/ecosystem.json');
  assert.equal(missing.status, 78);
  assert.match(missing.stderr, /nonexistent/);
  assert.equal(supervisor('check').status, 64);
  assert.equal(supervisor('check', shipped, shipped).status, 64);
});
