// scripts/run, which is `make run` after its build: what a newcomer sees, up to the printed curl line.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { test } from 'node:test';
import {
  buildDir,
  descendantsOf,
  freePort,
  needsCodex,
  realCodex,
  until,
  withDeadline,
} from './supervisor_kit.mjs';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');

class Run {
  constructor(t, env = {}) {
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'run-'));
    this.env = {
      PATH: process.env.PATH,
      HOME: this.home,
      CODEX_BIN: realCodex,
      CODEX_STATE_DIR: path.join(this.home, 'state'),
      CODEX_RUNTIME_DIR: path.join(this.home, 'run'),
      ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '',
      UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? '',
      LSAN_OPTIONS: process.env.LSAN_OPTIONS ?? '',
      ...env,
    };
    t.after(async () => {
      if (this.child?.exitCode === null && this.child.signalCode === null) {
        this.child.kill('SIGKILL');
        await this.exited;
      }
      fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
    });
  }

  start() {
    this.text = '';
    this.child = spawn(path.join(root, 'scripts/run'), [buildDir], {
      cwd: root,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = once(this.child, 'close').then(([code]) => code);
    this.child.stdout.on('data', (data) => (this.text += data));
    this.child.stderr.on('data', (data) => (this.text += data));
    return this;
  }

  async ready() {
    await until(() => /^ {2}curl .*\n/m.test(this.text) || this.child.exitCode !== null, 'the curl line');
    this.curl = /^ {2}curl (.*)$/m.exec(this.text)?.[1];
    assert.ok(this.curl, this.text);
    this.supervisor = Number(/"program":"codex-supervisor","pid":(\d+)/.exec(this.text)[1]);
  }

  // Nothing of it may be left.
  async gone() {
    const alive = () => {
      try {
        process.kill(this.supervisor, 0);
        return true;
      } catch {
        return descendantsOf(this.supervisor).length > 0;
      }
    };
    await until(() => !alive(), 'all of it to be gone', 10000);
    assert.equal(this.demos(), 0);
  }

  // Demo models that run for this home: it is in their environment.
  demos() {
    return fs.readdirSync('/proc').filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          fs.readlinkSync(`/proc/${pid}/exe`).startsWith(path.join(buildDir, 'demo-provider')) &&
          fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`HOME=${this.home}\0`)
        );
      } catch {
        return false; // gone meanwhile
      }
    }).length;
  }
}

test('without a login the demo model answers the printed curl line; Ctrl-C ends all', needsCodex, async (t) => {
  const run = new Run(t, { CODEX_PROXY_PORT: String(await freePort()) }).start();
  await run.ready();
  assert.match(run.text, /There is no Codex login in .*: the built-in demo model will answer/);
  assert.match(run.text, new RegExp(`serves http://127\\.0\\.0\\.1:${run.env.CODEX_PROXY_PORT}/v1`));
  const key = fs.readFileSync(path.join(run.home, 'state/api-key'), 'utf8').trim();
  assert.match(key, /^sk-[0-9a-f]{48}$/);
  assert.ok(run.curl.includes(key));
  assert.equal(fs.statSync(path.join(run.home, 'state/api-key')).mode & 0o777, 0o600);
  const { stdout } = await promisify(execFile)('sh', ['-c', `curl -sS --max-time 20 ${run.curl}`]);
  assert.match(JSON.parse(stdout).choices[0].message.content, /Say hello/);
  run.child.kill('SIGINT');
  assert.equal(await withDeadline(run.exited, 'the end'), 0, run.text);
  await run.gone();

  run.start();
  await run.ready();
  assert.ok(run.curl.includes(key), 'the key is kept');
  run.child.kill('SIGTERM');
  assert.equal(await withDeadline(run.exited, 'the end'), 0, run.text);
});

test('kill -9 of the script leaves nothing behind', needsCodex, async (t) => {
  const run = new Run(t, { CODEX_PROXY_PORT: String(await freePort()) }).start();
  await run.ready();
  assert.equal(run.demos(), 1);
  run.child.kill('SIGKILL');
  await run.exited;
  await run.gone();
});

test('a port that is taken is said with the setting that chooses another one', needsCodex, async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const run = new Run(t, { CODEX_PROXY_PORT: String(server.address().port) }).start();
  assert.equal(await withDeadline(run.exited, 'the end'), 70, run.text);
  assert.match(run.text, /cannot listen on .*CODEX_PROXY_PORT/);
  assert.doesNotMatch(run.text, /Try it/);
  assert.equal(run.demos(), 0);
});

test('a key of the user is used and not shown', needsCodex, async (t) => {
  const port = String(await freePort());
  const run = new Run(t, { CODEX_PROXY_PORT: port, CODEX_PROXY_API_KEY: 'sk-of-the-user' }).start();
  await run.ready();
  assert.doesNotMatch(run.text, /sk-of-the-user/);
  assert.ok(!fs.existsSync(path.join(run.home, 'state/api-key')));
  const { stdout } = await promisify(execFile)('sh', ['-c', `curl -sS --max-time 20 ${run.curl}`], {
    env: run.env,
  });
  assert.match(JSON.parse(stdout).choices[0].message.content, /Say hello/);
});
