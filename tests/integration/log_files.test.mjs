// The log files of apps: what is in them, and what happens when they are moved, full, or flooded.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { sidecar, until } from './supervisor_kit.mjs';

const sanitized = process.env.SIDECAR_BUILD?.includes('san');

// Shell scripts as apps: { NAME: { run: 'text of a script', any key of the ecosystem file } }.
// Those of plain letters in a path of a log file are in s.logs.
async function running(t, apps) {
  const s = await sidecar(t, { env: { CODEX_LOG_LEVEL: 'info' } });
  s.logs = path.join(s.root, 'logs');
  const list = Object.entries(apps).map(([name, { run, ...keys }]) => {
    const script = path.join(s.root, `${name}.sh`);
    fs.writeFileSync(script, `${run}\n`);
    return { name, script, cwd: s.root, autorestart: false, ...keys };
  });
  s.env.FILE = path.join(s.root, 'ecosystem.json');
  fs.writeFileSync(s.env.FILE, JSON.stringify({ apps: list }));
  return s.start({ under: ['/bin/sh', '-c', 'exec "$0" "$1" "$FILE"'] });
}

// A fifo that an app reads lines from. Never waits for a reader, as an app that is gone would be.
function fifo(t, s) {
  const fd = fs.openSync(path.join(s.root, 'gate'), 'r+');
  t.after(() => fs.closeSync(fd));
  return (line) => fs.writeSync(fd, `${line}\n`);
}

const read = (s, name) => fs.readFileSync(path.join(s.logs, name), 'utf8');
const lines = (text) => text.split('\n').slice(0, -1);
// All of a file that was put aside again and again, the oldest part first.
function parts(s, name) {
  const number = (file) => Number(file.slice(name.length + 1));
  return fs.readdirSync(s.logs).filter((f) => f === name || f.startsWith(`${name}.`))
    .sort((a, b) => (a === name ? 1 : b === name ? -1 : number(b) - number(a)));
}
const residentKb = (s) =>
  Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${s.pid}/status`, 'utf8'))[1]);

test('a stream with a file goes there with its times, the unfinished end too, and not into our log', async (t) => {
  const s = await running(t, {
    web: {
      run: 'echo one; echo two >&2; echo three; printf "the rest"; kill -9 $$',
      out_file: 'logs/out.log',
      log_date_format: '[at] YYYY',
    },
  });
  await s.became('web', 'stopped');
  assert.equal(
    read(s, 'out.log').replace(/at \d{4}/g, 'at'), 'at: one\nat: three\nat: the rest\n');
  await s.line((l) => l.msg === 'two' && l.app === 'web', 'the stream that has no file');
  assert.equal(s.lines.filter((l) => /^(one|three|the rest)$/.test(l.msg)).length, 0);
  const shown = (await s.ask('logs', { app: 'web', lines: 10 })).result.lines;
  assert.deepEqual(shown.map((l) => l.text).sort(), ['one', 'the rest', 'three', 'two']);
});

test('a burst before the end of an app is in its file, to the last line', async (t) => {
  const s = await running(t, {
    burst: {
      run: 'exec seq -f "line %.0f of a burst before the end" 3000',
      instances: 10,
      merge_logs: false,
      out_file: 'logs/burst.log',
    },
  });
  for (let i = 0; i < 10; i++) {
    await s.became(`burst-${i}`, 'stopped');
    const got = lines(read(s, `burst-${i}.log`));
    assert.equal(got.length, 3000);
    assert.equal(got[2999], 'line 3000 of a burst before the end');
  }
});

test('instances that share a file put it aside together: each line is there once', async (t) => {
  const s = await running(t, {
    web: {
      run: 'exec seq -f "$NODE_APP_INSTANCE %.0f" 4000',
      instances: 3,
      out_file: 'logs/web.log',
      log_rotate_max_size: '8K',
      log_rotate_retain: 1000,
    },
  });
  for (let i = 0; i < 3; i++) await s.became(`web-${i}`, 'stopped');
  const files = parts(s, 'web.log');
  assert.ok(files.length > 8, `${files}`);
  const all = files.flatMap((file) => {
    assert.ok(read(s, file).length <= 8192);
    return lines(read(s, file));
  });
  for (let i = 0; i < 3; i++)
    assert.deepEqual(
      all.filter((l) => l.startsWith(`${i} `)),
      Array.from({ length: 4000 }, (_, n) => `${i} ${n + 1}`),
    );
});

test('SIGUSR1 opens the files anew, for who has moved them away', async (t) => {
  const s = await running(t, {
    web: {
      run: 'mkfifo gate; echo before; read line <gate; echo between; read line <gate; echo after; exec sleep 600',
      out_file: 'logs/web.log',
      error_file: 'logs/web.log',
    },
  });
  const holds = (name, text) => until(() => fs.existsSync(path.join(s.logs, name)) &&
    read(s, name) === text, `${name}: ${text}`);
  await holds('web.log', 'before\n');
  const tell = fifo(t, s);
  fs.renameSync(path.join(s.logs, 'web.log'), path.join(s.logs, 'web.log-old'));
  tell('go on');
  await holds('web.log-old', 'before\nbetween\n');
  s.process.kill('SIGUSR1');
  await s.line((l) => l.msg === 'log files reopened: 1', 'the answer to the signal');
  tell('go on');
  await holds('web.log', 'after\n');
  assert.equal(read(s, 'web.log-old'), 'before\nbetween\n');
  assert.equal((await s.app('web')).restarts, 0);
});

// A disk that is full, until it has room again: a small one if we may mount it, else a limit of what
// the supervisor may write into a file.
function smallDisk(s) {
  fs.mkdirSync(s.logs, { recursive: true });
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', s.logs]);
  const limit = (n) => assert.equal(spawnSync('prlimit', ['--pid', s.pid, `--fsize=${n}:`]).status, 0);
  const ballast = path.join(s.logs, 'ballast');
  return {
    fill: () => {
      if (status !== 0) return limit(1);
      try {
        fs.writeFileSync(ballast, Buffer.alloc(1 << 20));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
      }
    },
    free: () => (status === 0 ? fs.rmSync(ballast) : limit('unlimited')),
    remove: () => status === 0 && spawnSync('umount', ['-l', s.logs]),
  };
}

test('a full disk costs lines and nothing else: it is said once, and their number when there is room', async (t) => {
  const s = await running(t, {
    web: {
      run: 'mkfifo gate; while read line <gate; do seq -f "$line %.0f" 2000; echo done >&2; done',
      out_file: 'logs/web.log',
      log_rotate_max_size: '16K', // putting it aside is tried too
    },
  });
  await until(() => fs.existsSync(path.join(s.root, 'gate')), 'the app');
  const tell = fifo(t, s);
  const disk = smallDisk(s);
  try {
    s.process.kill('SIGUSR1'); // into the folder as it is now
    await s.line((l) => /^log files reopened: 1/.test(l.msg), 'the answer to the signal');
    const write = async (text) => {
      const from = s.mark;
      tell(text);
      await s.line((l) => l.msg === 'done', 'the app to have written', from);
    };
    disk.fill();
    await write('full');
    await write('full');
    const said = () => s.lines.filter((l) => /lines are lost: .*saying so at most once a minute/.test(l.msg));
    await until(() => said().length > 0, 'the loss to be said'); // stdout may come after stderr
    assert.equal((await s.ask('logs', { app: 'web', lines: 1 })).result.lines.length, 1);
    disk.free();
    await write('room');
    await s.line((l) => /web\.log: [1-9]\d* lines were lost/.test(l.msg), 'their number');
    await until(() => {
      try {
        const got = parts(s, 'web.log').flatMap((file) => lines(read(s, file)));
        return got.filter((l) => /^room \d+$/.test(l)).length === 2000;
      } catch {
        return false; // a file was put aside while we looked
      }
    }, 'the lines that found room');
    assert.equal(said().length, 1);
    assert.equal((await s.app('web')).restarts, 0);
    assert.deepEqual(await s.stop(), { code: 0, signal: null });
  } finally {
    disk.remove();
  }
});

test('a flood into a file is bounded on the disk and in memory, and the supervisor answers', async (t) => {
  const s = await running(t, {
    web: {
      run: `exec yes '${'a line of the flood '.repeat(5)}'`,
      out_file: 'logs/web.log',
      log_rotate_max_size: '1M',
      log_rotate_retain: 2,
    },
  });
  await until(() => fs.existsSync(path.join(s.logs, 'web.log.2')), 'the flood');
  const { pid } = await s.app('web');
  const written = () => Number(/wchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, 'utf8'))[1]);
  const kb = residentKb(s);
  const took = [];
  const from = written();
  const began = performance.now();
  while (took.length < 30 || written() < from + (8 << 20)) {
    const start = performance.now();
    await s.status();
    took.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.diagnostic(`${((written() - from) / (performance.now() - began) / 1000).toFixed(1)} MB/s`);
  took.sort((a, b) => a - b);
  assert.ok(took[Math.floor(took.length * 0.75)] < 200, `status took ${took.map((ms) => ms.toFixed(0))} ms`);
  if (!sanitized) assert.ok(residentKb(s) < kb + 2048, `${kb} -> ${residentKb(s)} kB`);
  assert.equal((await s.app('web')).pid, pid);
  assert.deepEqual(await s.stop(), { code: 0, signal: null });
  assert.deepEqual(parts(s, 'web.log'), ['web.log.2', 'web.log.1', 'web.log']);
  for (const file of parts(s, 'web.log')) assert.ok(read(s, file).length <= 1 << 20);
});
