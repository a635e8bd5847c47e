// App-servers that run but are of no use: a refused login, a provider that fails, no answer; and
// what a new login changes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { chat } from './http_kit.mjs';
import { pair } from './pair_kit.mjs';
import { needsCodex, sidecar, until, withDeadline } from './supervisor_kit.mjs';

// More than the debounce of the watch, and the start of a stand-in.
const QUIET_MS = 1000;

const apiKey = (key) => JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: key });
const chatgpt = (account_id, token) =>
  JSON.stringify({
    auth_mode: 'chatgpt',
    OPENAI_API_KEY: null,
    tokens: { id_token: token, access_token: token, refresh_token: `r-${token}`, account_id },
  });

function login(s, text) {
  fs.writeFileSync(path.join(s.root, 'home', 'auth.json'), text);
}

// The stand-in for the proxy complains of app-server id.
async function complain(s, kind, { id = 0, generation, message = 'because' }) {
  const said = { method: 'backend/failed', params: { id, generation, kind, message } };
  const request = http.get({
    port: s.port, host: '127.0.0.1', agent: false,
    path: `/say?${encodeURIComponent(JSON.stringify(said))}`,
  });
  await withDeadline(
    new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('response', (response) => response.resume().on('end', resolve));
    }),
    'the stand-in to have said it',
  );
}

async function started(t, options, auth) {
  const s = await sidecar(t, options);
  if (auth) login(s, auth);
  s.start();
  await s.ready();
  const instances = Number(s.env.CODEX_APP_SERVER_INSTANCES ?? 1);
  for (let i = 0; i < instances; i++) await s.became(`app-server-${i}`, 'ready');
  return s;
}

const downs = (s) =>
  s.proxySaid.map((said) => said.heard).filter((m) => m?.method === 'backend/down').map((m) => m.params);

test('a refused login: drained and restarted at once, then it rests; a new login ends the rest', async (t) => {
  const s = await started(t, {}, apiKey('one'));
  let from = s.mark;
  await complain(s, 'auth', { generation: 1, message: '401 Unauthorized' });
  await s.line((l) => /STANDIN .*backend\/drain.*"deadline_ms":30000/.test(l.msg), 'a drain', from);
  await s.became('app-server-0', 'ready', from);
  assert.equal((await s.status()).auth.state, 'refused');

  from = s.mark;
  await complain(s, 'auth', { generation: 2, message: '401 Unauthorized' });
  await s.became('app-server-0', 'backoff', from);
  const resting = await s.app('app-server-0');
  assert.match(resting.reason, /the login is refused: 401 Unauthorized/);
  assert.ok(resting.next_retry_ms > 2000 && resting.next_retry_ms <= 5000, String(resting.next_retry_ms));
  const down = await until(() => downs(s).find((d) => d.next_retry_ms > 0), 'the proxy to know');
  assert.match(down.reason, /the login is refused/);

  from = s.mark;
  const begin = Date.now();
  login(s, apiKey('two'));
  await s.became('app-server-0', 'ready', from);
  const took = Date.now() - begin;
  assert.ok(took < 2000, `${took} ms`);
  assert.equal((await s.status()).auth.state, 'api_key');
  assert.equal((await s.app('app-server-0')).restarts, 2);
  t.diagnostic(`ready ${took} ms after the new login`);

  // and the spacing begins anew
  from = s.mark;
  await complain(s, 'auth', { generation: 3 });
  await s.became('app-server-0', 'ready', from);
});

test('without a new login it is tried again by itself', async (t) => {
  const s = await started(t);
  await complain(s, 'auth', { generation: 1 });
  await s.line((l) => /STANDIN .*backend\/up.*"generation":2/.test(l.msg), 'generation 2');
  const from = s.mark;
  await complain(s, 'auth', { generation: 2 });
  await s.became('app-server-0', 'backoff', from);
  await s.became('app-server-0', 'ready', from);
  assert.equal((await s.app('app-server-0')).restarts, 2);
});

test("codex's own token refresh restarts nothing; another account replaces without a gap", async (t) => {
  const s = await started(t, { env: { CODEX_APP_SERVER_INSTANCES: '2' } }, chatgpt('a', '1'));
  const before = await s.status();
  let from = s.mark;
  login(s, chatgpt('a', '2'));
  await s.line((l) => /auth\.json: new tokens/.test(l.msg), 'the new tokens to be seen', from);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS)); // what must not come has no event
  const same = await s.status();
  assert.deepEqual(same.apps.map((a) => [a.pid, a.restarts]), before.apps.map((a) => [a.pid, 0]));

  from = s.mark;
  login(s, chatgpt('b', '3'));
  await s.line((l) => /app-server-1: stopping -> stopped/.test(l.msg), 'the second one to go', from);
  const { apps } = await s.status();
  assert.deepEqual(apps.map((a) => [a.name, a.state, a.restarts]), [
    ['app-server-0', 'ready', 1], ['app-server-1', 'ready', 1], ['proxy', 'ready', 0],
  ]);
  const changes = s.lines.slice(from).filter((l) => /^app-server-\d$/.test(l.app) && l.to);
  const zeroGone = changes.findIndex((l) => l.app === 'app-server-0' && l.to === 'stopped');
  const oneStarts = changes.findIndex((l) => l.app === 'app-server-1' && l.to === 'starting');
  assert.ok(zeroGone >= 0 && zeroGone < oneStarts, 'one after the other');
});

test('with a ChatGPT login the first app-server is ready before the others start', async (t) => {
  const s = await started(t, { env: { CODEX_APP_SERVER_INSTANCES: '3' } }, chatgpt('a', '1'));
  const index = (app, to) => s.lines.findIndex((l) => l.app === app && l.to === to);
  for (const app of ['app-server-1', 'app-server-2'])
    assert.ok(index('app-server-0', 'ready') < index(app, 'starting'), app);
});

test('and if it cannot become ready, they start all the same', async (t) => {
  const s = await sidecar(t, { codex: { exit: 1 }, env: { CODEX_APP_SERVER_INSTANCES: '2' } });
  login(s, chatgpt('a', '1'));
  s.start();
  await s.became('app-server-1', 'starting');
});

test('one that does not answer is restarted at once, again and again, and that is no crash loop', async (t) => {
  const s = await started(t);
  for (let generation = 1; generation <= 12; generation++) {
    const from = s.mark;
    await complain(s, 'server', { generation });
    await s.line((l) => new RegExp(`STANDIN .*backend/up.*"generation":${generation + 1}`).test(l.msg), 'the next one', from);
    assert.ok(!s.lines.slice(from).some((l) => /STANDIN .*backend\/drain/.test(l.msg)), 'no drain');
  }
  const app = await s.app('app-server-0');
  assert.deepEqual([app.state, app.restarts], ['ready', 12]);
});

test('a provider that fails: replaced without a gap, but not again within 30 s', async (t) => {
  const s = await started(t);
  await complain(s, 'upstream', { generation: 1 });
  await s.line((l) => /STANDIN .*backend\/gone/.test(l.msg), 'the old one to be gone');
  const from = s.mark;
  await complain(s, 'upstream', { id: 64, generation: 2 });
  await s.line((l) => /failures of kind upstream/.test(l.msg), 'the complaint', from);
  await complain(s, 'auth', { id: 0, generation: 1 }); // of the old one: nobody cares
  await complain(s, 'auth', { id: 99, generation: 1 });
  await complain(s, 'auth', { id: -1, generation: 1 });
  assert.equal((await s.status()).auth.state, 'none');
  const app = await s.app('app-server-0');
  assert.deepEqual([app.state, app.restarts], ['ready', 1]);
});

test('the real codex: refused, resting, and serving within 2 s of a new login', needsCodex, async (t) => {
  const p = await pair(t, {
    config: (provider) => provider.toml.replace('env_key = "UPSTREAM_KEY"', 'requires_openai_auth = true'),
    wait: false,
  });
  const s = p.sidecar;
  await s.line((l) => /not ready: no login/.test(l.msg), 'the login to be missed');
  login(s, apiKey('sk-old'));
  await s.ready();
  await s.line((l) => /app-server-0: stopping -> stopped/.test(l.msg), 'the first login to be taken');
  const refuse = async () => assert.equal((await chat(p.port, '!status 401 no')).status, 503);
  let from = s.mark;
  await refuse();
  await s.became('app-server-0', 'starting', from);
  await s.became('app-server-0', 'ready', from);
  from = s.mark;
  await refuse();
  await s.became('app-server-0', 'backoff', from);
  assert.equal((await s.status()).ready, false);

  from = s.mark;
  const begin = Date.now();
  login(s, apiKey('sk-new'));
  await s.became('app-server-0', 'ready', from);
  const ready = Date.now() - begin;
  const answer = await chat(p.port, '!say 1 0 again');
  const served = Date.now() - begin;
  assert.equal(answer.status, 200, answer.text);
  assert.ok(served < 2000, `${served} ms`);
  const request = p.provider.requests.at(-1);
  assert.equal(request.headers.authorization, 'Bearer sk-new');
  t.diagnostic(`ready ${ready} ms, served ${served} ms after the new login`);
});
