// The login's end: codex-healthcheck auth, and scripts/codex-auth-check.sh on top of it, against a
// webhook on the loopback.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { runToEnd } from './program.mjs';
import { buildDir, freePort, sidecar, until } from './supervisor_kit.mjs';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
const script = path.join(root, 'scripts', 'codex-auth-check.sh');
const binary = path.join(buildDir, 'codex-healthcheck');

const tokenOf = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
const hoursFromNow = (hours) => Math.floor(Date.now() / 1000 + hours * 3600);
const SECRET = 'rt-very-secret';

// What a login that ends so many hours from now leaves on disk.
const chatgpt = (hours) => ({
  auth_mode: 'chatgpt',
  OPENAI_API_KEY: null,
  tokens: {
    id_token: tokenOf({ email: 'a@example.com', exp: hoursFromNow(-5) }), // lives an hour; nobody minds
    access_token: tokenOf({ exp: hoursFromNow(hours) }),
    refresh_token: SECRET,
    account_id: 'acct-123',
  },
  last_refresh: '2026-11-23T07:06:54.277Z',
});

class Home {
  constructor(t) {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'auth-'));
    t.after(() => fs.rmSync(this.dir, { recursive: true, force: true }));
    this.env = { PATH: process.env.PATH, CODEX_HOME: this.dir, CODEX_STATE_DIR: path.join(this.dir, 'state') };
    for (const name of ['ASAN_OPTIONS', 'SIDECAR_BUILD']) if (process.env[name]) this.env[name] = process.env[name];
  }

  login(content) {
    fs.writeFileSync(path.join(this.dir, 'auth.json'), typeof content === 'string' ? content : JSON.stringify(content));
    return this;
  }

  // by: the binary, or the script
  async check(args = [], { by = binary, env = {} } = {}) {
    const { code, stdout, stderr } = await runToEnd(by, by === binary ? ['auth', ...args] : args, { ...this.env, ...env }, 60000);
    assert.ok(!(stdout + stderr).includes(SECRET));
    return { code, stdout, stderr, first: stderr.split('\n')[0] };
  }

  alert(url, ...args) {
    return this.check(['--alert', ...args], { env: { CODEX_ALERT_WEBHOOK_URL: url } });
  }
}

// answers: a status, or [status, headers], for one request after the other; then 204.
async function webhook(t, ...answers) {
  const received = [];
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { method, url, headers } = request;
    received.push({ method, url, type: headers['content-type'], body: JSON.parse(Buffer.concat(parts)) });
    const [status, more] = [answers.shift() ?? 204].flat();
    response.writeHead(status, more);
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { received, url: `http://127.0.0.1:${server.address().port}/api/webhooks/1/token-of-the-hook` };
}

for (const [name, by] of [['the binary', binary], ['codex-auth-check.sh', script]]) {
  const args = by === binary ? ['--alert'] : [];

  test(`${name}: one Discord message 47 hours before the end, none 49 hours before, one when it has expired`, async (t) => {
    const home = new Home(t);
    const hook = await webhook(t);
    const options = { by, env: { CODEX_ALERT_WEBHOOK_URL: hook.url } };

    const well = await home.login(chatgpt(49)).check(args, options);
    assert.equal(well.code, 0, well.stderr);
    assert.match(well.stdout, /^the login expires in (48 h 59|49 h 0) min \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\)\n$/);
    assert.equal(hook.received.length, 0);

    const soon = await home.login(chatgpt(47)).check(args, options);
    assert.equal(soon.code, 3);
    assert.match(soon.first, /^codex-healthcheck: the login expires in (46 h 59|47 h 0) min \(.* UTC\)$/);
    assert.match(soon.stderr, new RegExp(`\n  CODEX_HOME=${home.dir} codex login\n`));
    assert.equal(hook.received.length, 1);
    const { method, type, body } = hook.received[0];
    assert.deepEqual([method, type], ['POST', 'application/json']);
    assert.deepEqual(Object.keys(body).sort(), ['allowed_mentions', 'content']);
    assert.match(body.content, /^codex-sidecar on \S+: the login expires in (46 h 59|47 h 0) min .*`CODEX_HOME=.* codex login`$/);
    assert.ok(body.content.length < 2000);
    assert.equal((await home.check(args, options)).code, 3); // the same again: nobody is told twice
    assert.equal(hook.received.length, 1);

    const expired = await home.login(chatgpt(-1.5)).check(args, options);
    assert.equal(expired.code, 1);
    assert.match(expired.first, /^codex-healthcheck: the login expired 1 h 30 min ago /);
    assert.equal(hook.received.length, 2);
    assert.match(hook.received[1].body.content, /expired 1 h 30 min ago/);
  });

  test(`${name}: a broken auth.json, a missing one and an unreachable webhook: a clear line each, and 2`, async (t) => {
    const home = new Home(t);
    const missing = await home.check([], { by });
    assert.deepEqual([missing.code, missing.first],
      [2, `codex-healthcheck: there is no login: ${home.dir}/auth.json: No such file or directory`]);
    for (const [content, why] of [
      ['{"tokens":', 'not JSON'],
      [{}, 'neither tokens nor an API key in it'],
      [{ tokens: { access_token: SECRET } }, 'tokens.access_token: not a JSON web token'],
      [{ tokens: { access_token: tokenOf({}) } }, 'tokens.access_token: has no exp: until when it is good is not known'],
    ]) {
      const { code, first } = await home.login(content).check([], { by });
      assert.deepEqual([code, first], [2, `codex-healthcheck: the login cannot be read: ${home.dir}/auth.json: ${why}`]);
    }
    const url = `http://127.0.0.1:${await freePort()}/hook-with-a-token`;
    const { code, stderr } = await home.login(chatgpt(47)).check(args, { by, env: { CODEX_ALERT_WEBHOOK_URL: url } });
    assert.equal(code, 2);
    const lines = stderr.split('\n');
    for (const line of lines.slice(0, 3))
      assert.match(line, /^codex-healthcheck: alert: cannot connect: Connection refused; again in \d\.\d s$/);
    assert.match(lines[3], /^codex-healthcheck: the login expires in .*; the alert could not be sent: the webhook: cannot connect: Connection refused$/);
    assert.doesNotMatch(stderr, /hook-with-a-token/);
  });
}

test('an API key does not expire', async (t) => {
  const home = new Home(t).login({ auth_mode: 'apikey', OPENAI_API_KEY: SECRET });
  assert.deepEqual(await home.check(), {
    code: 0, stdout: 'the login is an API key, which does not expire\n', stderr: '', first: '',
  });
  assert.equal((await home.check(['--quiet'])).stdout, '');
});

test('--json, and --warn-hours', async (t) => {
  const home = new Home(t).login(chatgpt(100));
  const told = JSON.parse((await home.check(['--json'])).stdout);
  assert.deepEqual([told.check, told.ok, told.code, told.state], ['auth', true, 0, 'valid']);
  assert.ok(Math.abs(told.expires_at - hoursFromNow(100)) < 60);
  const soon = await home.check(['--json', '--warn-hours', '101']);
  assert.deepEqual([soon.code, JSON.parse(soon.stdout).state], [3, 'expiring']);
});

test('an alert is sent again when the state has changed meanwhile, or after --repeat-hours', async (t) => {
  const home = new Home(t).login(chatgpt(20));
  const hook = await webhook(t);
  const alerts = async (...args) => {
    const before = hook.received.length;
    await home.alert(hook.url, ...args);
    return hook.received.length - before;
  };
  assert.equal(await alerts(), 1);
  assert.equal(await alerts(), 0);
  home.login(chatgpt(200));
  assert.equal(await alerts(), 0);
  home.login(chatgpt(20));
  assert.equal(await alerts(), 1);
  // a day later
  const memory = path.join(home.dir, 'state', 'auth-alert.json');
  const known = JSON.parse(fs.readFileSync(memory));
  assert.equal(fs.statSync(memory).mode & 0o777, 0o600);
  fs.writeFileSync(memory, JSON.stringify({ ...known, alerted_at: known.alerted_at - 25 * 3600 }));
  assert.equal(await alerts('--repeat-hours', '0'), 0);
  assert.equal(await alerts('--repeat-hours', '26'), 0);
  assert.equal(await alerts(), 1);
  fs.writeFileSync(memory, '{"state":"expi'); // after a power cut
  assert.equal(await alerts(), 1);
  assert.equal(await alerts(), 0);
});

test('an alert that was not taken is tried again, and by the next check', async (t) => {
  const home = new Home(t).login(chatgpt(-1));
  const hook = await webhook(t, 503, [429, { 'retry-after': '1' }], 204);
  const begin = Date.now();
  assert.equal((await home.alert(hook.url)).code, 1);
  assert.equal(hook.received.length, 3);
  assert.ok(Date.now() - begin >= 1200); // 250 ms, and the second that was asked for
  // refused for good: no second try, nothing is remembered
  const other = new Home(t).login(chatgpt(-1));
  const wrong = await webhook(t, 404);
  const { code, first } = await other.alert(wrong.url);
  assert.equal(code, 2);
  assert.match(first, /the login expired .*; the alert could not be sent: the webhook: answered with HTTP status 404$/);
  assert.equal(wrong.received.length, 1);
  assert.equal((await other.alert(wrong.url)).code, 1);
  assert.equal(wrong.received.length, 2);
});

test('two checks at the same time send one alert', async (t) => {
  const home = new Home(t).login(chatgpt(1));
  const hook = await webhook(t);
  const codes = await Promise.all([1, 2, 3].map(() => home.alert(hook.url)));
  assert.deepEqual(codes.map((c) => c.code), [3, 3, 3]);
  assert.equal(hook.received.length, 1);
});

test('each receiver gets its own form: by --format, by the setting, or by the URL', async (t) => {
  const hook = await webhook(t);
  const base = hook.url.replace('/api/webhooks/1/token-of-the-hook', '');
  const form = async (url, args = [], env = {}) => {
    const home = new Home(t).login(chatgpt(1));
    const { code } = await home.check(['--alert', ...args], { env: { CODEX_ALERT_WEBHOOK_URL: url, ...env } });
    assert.equal(code, 3);
    const { body } = hook.received.at(-1);
    return body.allowed_mentions ? 'discord' : body.source ? 'json' : 'slack';
  };
  assert.equal(await form(`${base}/api/webhooks/1/2`), 'discord');
  assert.equal(await form(`${base}/api/webhooks/1/2/slack`), 'slack');
  assert.equal(await form(`${base}/services/T/B/x`), 'slack');
  assert.equal(await form(`${base}/hook`), 'json');
  assert.equal(await form(`${base}/hook`, ['--format', 'slack']), 'slack');
  assert.equal(await form(`${base}/hook`, [], { CODEX_ALERT_FORMAT: 'discord' }), 'discord');
  assert.equal(await form(`${base}/hook`, ['--format', 'json'], { CODEX_ALERT_FORMAT: 'discord' }), 'json');
  const { body } = hook.received.at(-1);
  assert.deepEqual([body.source, body.check, body.state, body.code], ['codex-sidecar', 'auth', 'expiring', 3]);
  assert.equal(body.content, body.text);
});

test('the URL may be in a file; without one, or with none that can be, it is 78', async (t) => {
  const home = new Home(t).login(chatgpt(1));
  const hook = await webhook(t);
  const file = path.join(home.dir, 'url');
  fs.writeFileSync(file, `${hook.url}\n`);
  assert.equal((await home.check(['--alert'], { env: { CODEX_ALERT_WEBHOOK_URL_FILE: file } })).code, 3);
  assert.equal(hook.received.length, 1);
  const without = await home.check(['--alert']);
  assert.equal(without.code, 78);
  assert.match(without.first, /the login expires in .*; no alert: CODEX_ALERT_WEBHOOK_URL or .* is needed$/);
  const gone = await home.check(['--alert'], { env: { CODEX_ALERT_WEBHOOK_URL_FILE: `${file}.gone` } });
  assert.equal(gone.code, 78);
  assert.match(gone.first, /url\.gone: No such file/);
  const other = new Home(t).login(chatgpt(1));
  const wrong = await other.alert('ftp://token@host/');
  assert.equal(wrong.code, 78);
  assert.doesNotMatch(wrong.stderr, /token@host/);
});

test('a state folder that cannot be written does not keep the alert back', async (t) => {
  const home = new Home(t).login(chatgpt(1));
  const hook = await webhook(t);
  home.env.CODEX_STATE_DIR = '/proc/none';
  const { code, first } = await home.alert(hook.url);
  assert.equal(code, 3);
  assert.match(first, /^codex-healthcheck: \/proc\/none.*: an alert will be sent each time$/);
  assert.equal(hook.received.length, 1);
});

test('the script works where it is installed, and through a link', async (t) => {
  const prefix = fs.mkdtempSync(path.join(os.tmpdir(), 'prefix-'));
  t.after(() => fs.rmSync(prefix, { recursive: true, force: true }));
  const home = new Home(t).login(chatgpt(49));
  execFileSync('make', ['-s', '-C', root, 'install', `PREFIX=${prefix}`], {
    env: { ...process.env, FLAVOUR: buildDir.endsWith('/san') ? 'san' : '' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const link = path.join(prefix, 'a-link');
  fs.symlinkSync(path.join(prefix, 'bin', 'codex-auth-check.sh'), link);
  delete home.env.SIDECAR_BUILD;
  for (const by of [path.join(prefix, 'bin', 'codex-auth-check.sh'), link]) {
    const { code, stdout } = await home.check([], { by });
    assert.equal(code, 0);
    assert.match(stdout, /^the login expires in 4[89] h/);
  }
});

test('the supervisor and the metrics show the same date, and follow the file', async (t) => {
  const s = await sidecar(t, { proxy: null, env: { CODEX_METRICS_NO_AUTH: '1' } });
  const file = path.join(s.root, 'home', 'auth.json');
  const login = (hours) => {
    const content = chatgpt(hours);
    fs.writeFileSync(`${file}.new`, JSON.stringify(content));
    fs.renameSync(`${file}.new`, file);
    return JSON.parse(Buffer.from(content.tokens.access_token.split('.')[1], 'base64url')).exp;
  };
  const metric = async () => {
    const text = await (await fetch(`http://127.0.0.1:${s.port}/metrics`)).text();
    return Number(/^codex_sidecar_login_expires_timestamp_seconds (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const first = login(47.5);
  s.start();
  await s.line((l) => /connected to the supervisor/.test(l.text), 'the proxy');
  await s.became('app-server-0', 'ready');
  let { auth, warnings } = await s.status();
  assert.deepEqual(auth, { state: 'expiring', expires_at: first });
  assert.match(warnings.at(-1), /^the login expires in 47 h \d+ min \(.*UTC\), and codex has not refreshed it yet/);
  await until(async () => (await metric()) === first, 'the metric');
  const people = await s.cli('status');
  assert.match(people.stdout, /\nlogin: expiring, expires in 47 h \d+ min \(.*\)\n/);

  const second = login(240); // codex has refreshed it
  await until(async () => (await s.status()).auth.expires_at === second, 'the new date');
  ({ auth, warnings } = await s.status());
  assert.deepEqual([auth.state, warnings], ['valid', []]);
  await until(async () => (await metric()) === second, 'the metric to follow');

  fs.writeFileSync(file, '{"OPENAI_API_KEY":"sk-1"}');
  await until(async () => (await s.status()).auth.state === 'api_key', 'the key');
  assert.equal((await s.status()).auth.expires_at, null);
  await until(async () => (await metric()) === 0, 'the metric to be gone');
  await s.stop();
});
