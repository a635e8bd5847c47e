// The shipped ecosystem file under PM2 itself: codex-proxy says when it is ready, and PM2 hears it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { API_KEY, ask, chat } from './http_kit.mjs';
import { Provider } from './pair_kit.mjs';
import { buildDir, freePort, realCodex, until, withDeadline } from './supervisor_kit.mjs';

const pm2 = new URL('../node_modules/pm2/bin/pm2', import.meta.url).pathname;
const shipped = new URL('../../units/pm2/ecosystem.json', import.meta.url);
const skip = !realCodex ? 'no codex' : !fs.existsSync(pm2) ? 'no pm2: make deps-test' : false;

class Pm2 {
  constructor(provider, port) {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-'));
    this.home = path.join(this.root, 'home');
    fs.mkdirSync(this.home);
    fs.mkdirSync(path.join(this.root, 'bin'));
    fs.writeFileSync(path.join(this.home, 'config.toml'), provider.toml);
    fs.symlinkSync(realCodex, path.join(this.root, 'bin', 'codex'));
    fs.symlinkSync(path.join(buildDir, 'codex-proxy'), path.join(this.root, 'bin', 'codex-proxy'));
    this.env = {
      PATH: `${path.join(this.root, 'bin')}:${process.env.PATH}`,
      HOME: this.home,
      CODEX_HOME: this.home,
      PM2_HOME: path.join(this.root, 'pm2'),
      PM2_DISABLE_VERSION_CHECK: 'true',
      CODEX_PROXY_API_KEY: API_KEY,
      CODEX_PROXY_PORT: String(port),
      UPSTREAM_KEY: 'upstream-secret',
    };
    fs.mkdirSync(this.env.PM2_HOME);
    fs.writeFileSync(path.join(this.env.PM2_HOME, 'touch'), ''); // else it calls home
  }

  // Its daemon has left us: a test run that is ended from outside takes it along by its number.
  killDaemon() {
    try {
      process.kill(Number(fs.readFileSync(path.join(this.env.PM2_HOME, 'pm2.pid'), 'utf8')), 'SIGKILL');
    } catch {
      // gone already, as it should be
    }
  }

  async run(...args) {
    const child = spawn(process.execPath, [pm2, ...args], { env: this.env, cwd: this.root });
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    const [code] = await withDeadline(once(child, 'close'), `pm2 ${args[0]}`, 90000);
    return { code, text };
  }

  async list() {
    const { text } = await this.run('jlist');
    return JSON.parse(text.slice(text.indexOf('[{')));
  }
}

test('the shipped ecosystem file under pm2: online comes once /readyz is 200, before listen_timeout', { skip }, async (t) => {
  const provider = await Provider.start();
  const [port, appServer] = [await freePort(), await freePort()];
  const p = new Pm2(provider, port);
  process.on('exit', () => p.killDaemon());
  const file = JSON.parse(fs.readFileSync(shipped, 'utf8'));
  file.apps[0].args[2] = `ws://127.0.0.1:${appServer}`;
  file.apps[1].env.CODEX_APP_SERVER_URL = `ws://127.0.0.1:${appServer}`;
  fs.writeFileSync(path.join(p.root, 'ecosystem.json'), JSON.stringify(file));
  t.after(async () => {
    await p.run('kill').finally(() => p.killDaemon());
    await provider.stop();
    fs.rmSync(p.root, { recursive: true, force: true });
  });

  const from = Date.now();
  let ready = 0; // when /readyz was 200 for the first time
  let going = true;
  const watched = (async () => {
    while (going && !ready) {
      const status = await ask(port, { path: '/readyz' }).then((r) => r.status, () => 0);
      if (status === 200) ready = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const { code, text } = await p.run('start', 'ecosystem.json');
  const online = Date.now();
  const answer = await ask(port, { path: '/readyz' });
  going = false;
  await watched;
  assert.equal(code, 0, text);
  assert.equal(answer.status, 200); // it came back when it was ready, and not before
  assert.ok(ready > 0 && online >= ready - 100);
  assert.ok(online - from < file.apps[1].listen_timeout);
  const apps = await p.list();
  assert.deepEqual(apps.map((a) => [a.name, a.pm2_env.status, a.pm2_env.restart_time]),
    [['codex-app-server', 'online', 0], ['codex-proxy', 'online', 0]]);
  assert.equal((await chat(port, 'under pm2')).status, 200);

  // its own SIGINT stops the proxy in good order
  const { pid } = apps[1];
  assert.equal((await p.run('stop', 'codex-proxy')).code, 0);
  await until(() => !fs.existsSync(`/proc/${pid}`), 'the end of the proxy');
  const pm2Log = fs.readFileSync(path.join(p.env.PM2_HOME, 'pm2.log'), 'utf8');
  assert.match(pm2Log, /App \[codex-proxy:1\] exited with code \[0\] via signal \[SIGINT\]/);
});
