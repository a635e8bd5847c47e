// A service whose login is missing, comes later, goes, or is of the wrong kind.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ask, chat, stream } from './http_kit.mjs';
import { lone, pair } from './pair_kit.mjs';
import { needsCodex, sidecar, until } from './supervisor_kit.mjs';

const apiKey = (key) => JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: key });
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = `${part({ alg: 'none' })}.${part({ exp: 4102444800 })}.${part('signature')}`;
const chatgpt = JSON.stringify({
  auth_mode: 'chatgpt', OPENAI_API_KEY: null,
  tokens: { id_token: token, access_token: token, refresh_token: 'r-secret', account_id: 'acct-1' },
});
const home = (s) => path.join(s.root, 'home');
const login = (s, text) => fs.writeFileSync(path.join(home(s), 'auth.json'), text);
const logout = (s) => fs.rmSync(path.join(home(s), 'auth.json'));
const needing = (provider) => provider.toml.replace('env_key = "UPSTREAM_KEY"', 'requires_openai_auth = true');

const readyz = async (port) => (await ask(port, { path: '/readyz' }));
const isReady = (port) => until(async () => (await readyz(port)).status === 200, '/readyz to say 200');

async function isUpWithoutLogin(s) {
  await s.line((l) => /not ready: no login/.test(l.msg), 'a word of the missing login');
  const status = await s.status();
  assert.deepEqual([status.state, status.ready, status.auth.state], ['running', false, 'required']);
  assert.deepEqual(status.apps.map((a) => [a.name, a.state]), [['app-server-0', 'ready'], ['proxy', 'ready']]);
  return status;
}

// At once, and not to be tried again: with the queue's time of two minutes nobody could wait for it.
async function refusesAtOnce(port) {
  const begin = Date.now();
  const answer = await chat(port, '!say 1 0 x');
  assert.equal(answer.status, 503, answer.text);
  assert.equal(answer.json.error.code, 'login_required');
  assert.equal(answer.json.error.type, 'server_error');
  assert.match(answer.json.error.message, /no Codex login.*codex login/);
  assert.equal(answer.headers['x-should-retry'], 'false');
  const streamed = stream(port, '!say 1 0 x');
  await streamed.end();
  assert.equal(streamed.status, 503);
  assert.ok(Date.now() - begin < 2000, `${Date.now() - begin} ms`);
}

test('without a login it is up, says what it needs, refuses at once; and serves within 2 s of a login', needsCodex, async (t) => {
  const p = await pair(t, { config: needing, wait: false });
  const s = p.sidecar;
  const { warnings } = await isUpWithoutLogin(s);
  assert.deepEqual(warnings, [`no login: run \`codex login\` with CODEX_HOME=${home(s)}`]);
  const health = await readyz(p.port);
  assert.equal(health.status, 503);
  assert.match(health.json.reasons.join(), /no login: the provider of app-server 0 needs one/);
  assert.equal((await ask(p.port, { path: '/v1/models' })).status, 200);
  assert.match((await ask(p.port, { path: '/metrics', key: null })).text, /state="auth_failed"} 1/);
  await refusesAtOnce(p.port);
  assert.deepEqual(p.provider.requests, []);
  const shown = await s.cli('status', '--exit-code');
  assert.equal(shown.code, 1);
  assert.match(shown.stdout, /login: required[^]*warning: no login: run `codex login` with CODEX_HOME=/);

  const begin = Date.now();
  login(s, apiKey('sk-first'));
  await isReady(p.port);
  const ready = Date.now() - begin;
  const answer = await chat(p.port, '!say 1 0 now');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(p.provider.requests.at(-1).headers.authorization, 'Bearer sk-first');
  assert.ok(ready < 2000, `${ready} ms`);
  t.diagnostic(`ready ${ready} ms after the login`);
  const after = await s.status();
  assert.deepEqual([after.ready, after.auth.state, after.warnings], [true, 'api_key', []]);
  assert.ok(s.lines.some((l) => /ready: serving on/.test(l.msg)));

  // gone: what runs has it in memory, what is started next has not; and back, the very same
  logout(s);
  await s.ask('reload', { app: 'app-server' });
  await until(async () => (await s.status()).auth.state === 'required', 'the login to be missed');
  await refusesAtOnce(p.port);
  login(s, apiKey('sk-first'));
  await isReady(p.port);
  assert.equal((await chat(p.port, '!say 1 0 again')).status, 200);
});

test('an auth.json that holds no login is as good as none, and status says so', needsCodex, async (t) => {
  const p = await pair(t, { config: needing, wait: false });
  login(p.sidecar, '{"tokens":');
  const { warnings } = await isUpWithoutLogin(p.sidecar);
  assert.match(warnings.join(), /no login/);
  await until(async () => /is of no use to codex: run/.test((await p.sidecar.status()).warnings.join()), 'the file to be looked at');
});

test('an account that another client of the app-server changes: the waiting are told, and it goes on by itself', async (t) => {
  const { fake, proxy, port } = await lone(t, { env: { CODEX_MAX_CONCURRENT: '1' } });
  const running = stream(port, '!part some\n!silence');
  await running.text('some');
  const waiting = chat(port, '!say 1 0 b');
  await until(async () => (await proxy.readyz()).json.queued === 1, 'one to wait');
  await fake.order('logout');
  const answer = await waiting;
  assert.deepEqual([answer.status, answer.json.error.code], [503, 'login_required']);
  assert.equal((await proxy.readyz()).status, 503);
  running.abort();
  await fake.order('login');
  await isReady(port);
  assert.equal((await chat(port, '!say 1 0 c')).status, 200);
});

// --- CODEX_REQUIRE_API_KEY_LOGIN -------------------------------------------------------------

const REQUIRE = { CODEX_REQUIRE_API_KEY_LOGIN: '1' };

test('where an API key is required, a ChatGPT login stops the start: one line, exit code 78', async (t) => {
  const s = await sidecar(t, { env: REQUIRE });
  login(s, chatgpt);
  s.start();
  assert.deepEqual(await s.exited, { code: 78, signal: null });
  const errors = s.lines.filter((l) => l.level === 'error').map((l) => l.msg);
  assert.equal(errors.length, 1, errors.join('\n'));
  assert.match(errors[0], /^CODEX_REQUIRE_API_KEY_LOGIN: the login in .*\/home is a ChatGPT login: use `codex login --with-api-key`/);
  assert.ok(!s.lines.some((l) => /r-secret/.test(l.text)));
});

test('and one that comes later is not used: what runs goes on, what is started has no login, status warns', needsCodex, async (t) => {
  const p = await pair(t, { config: needing, env: REQUIRE, wait: false });
  const s = p.sidecar;
  await isUpWithoutLogin(s);
  login(s, apiKey('sk-key'));
  await isReady(p.port);
  assert.equal((await chat(p.port, '!say 1 0 one')).status, 200);

  const from = s.mark;
  login(s, chatgpt);
  await s.line((l) => l.level === 'error' && /the new login in .* is a ChatGPT login: it is not used/.test(l.msg), 'a loud word', from);
  const status = await s.status();
  assert.equal(status.auth.state, 'not_allowed');
  assert.match(status.warnings.join(), /^CODEX_REQUIRE_API_KEY_LOGIN: the ChatGPT login is not used: run `codex login --with-api-key`/);
  assert.equal((await chat(p.port, '!say 1 0 two')).status, 200);
  assert.equal(p.provider.requests.at(-1).headers.authorization, 'Bearer sk-key');

  await s.ask('reload', { app: 'app-server' });
  await until(async () => (await readyz(p.port)).status === 503, 'the new one to miss a login');
  await refusesAtOnce(p.port);
  assert.equal(fs.existsSync(path.join(s.state, 'home-0', 'auth.json')), false);

  login(s, apiKey('sk-other'));
  await isReady(p.port);
  assert.equal((await chat(p.port, '!say 1 0 three')).status, 200);
  assert.equal(p.provider.requests.at(-1).headers.authorization, 'Bearer sk-other');
  assert.equal((await s.status()).auth.state, 'api_key');
});
