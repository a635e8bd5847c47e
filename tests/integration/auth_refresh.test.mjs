// Several app-servers with one ChatGPT login whose token has expired: a refresh token works once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { stream } from './http_kit.mjs';
import { Provider } from './pair_kit.mjs';
import { Sidecar, freePort, needsCodex } from './supervisor_kit.mjs';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims) => `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.${part('signature')}`;
const ACCOUNT = 'acct-123';
const claims = (exp) => ({
  exp,
  email: 'dev@example.com',
  'https://api.openai.com/auth': { chatgpt_plan_type: 'plus', chatgpt_user_id: 'user-abc', chatgpt_account_id: ACCOUNT },
});

// Gives new tokens for a refresh token, once.
async function oauthServer(t, delay) {
  const seen = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { refresh_token: token } = JSON.parse(body);
    const used = seen.includes(token);
    seen.push(token);
    await new Promise((resolve) => setTimeout(resolve, delay));
    response.writeHead(used ? 401 : 200, { 'content-type': 'application/json' });
    const fresh = jwt(claims(Math.floor(Date.now() / 1000) + 3600));
    response.end(JSON.stringify(used
      ? { error: { code: 'refresh_token_reused', message: 'used' } }
      : { id_token: fresh, access_token: fresh, refresh_token: `rt-${seen.length + 1}` }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}/oauth/token`, seen };
}

test('an expired token and two app-servers: one refresh, no restart, both serve', needsCodex, async (t) => {
  const oauth = await oauthServer(t, 300);
  const provider = await Provider.start();
  t.after(() => provider.kill());
  // the second provider is there for its env_key: how a variable of a test reaches codex
  const config = `${provider.toml.replace('env_key = "UPSTREAM_KEY"', 'requires_openai_auth = true')}
[model_providers.unused]
name = "unused"
base_url = "http://127.0.0.1:9/v1"
env_key = "CODEX_REFRESH_TOKEN_URL_OVERRIDE"
`;
  const s = new Sidecar({
    proxy: null, codex: null, config,
    env: {
      CODEX_PROXY_PORT: String(await freePort()),
      CODEX_PROXY_API_KEY: 'sk-test-of-the-pair',
      CODEX_APP_SERVER_INSTANCES: '2',
      CODEX_REFRESH_TOKEN_URL_OVERRIDE: oauth.url,
    },
  });
  t.after(() => s.dispose());
  const expired = jwt(claims(1700000000));
  const auth = path.join(s.root, 'home', 'auth.json');
  fs.writeFileSync(auth, JSON.stringify({
    auth_mode: 'chatgpt',
    OPENAI_API_KEY: null,
    tokens: { id_token: expired, access_token: expired, refresh_token: 'rt-1', account_id: ACCOUNT },
    last_refresh: '2023-11-14T00:00:00Z',
  }));
  s.start();
  await s.ready();
  for (const app of ['app-server-0', 'app-server-1']) await s.became(app, 'ready');
  const serve = async (i) => {
    const one = stream(s.port, `!say 5 50 both${i}-`);
    await one.end();
    assert.equal(one.error, undefined, JSON.stringify(one.error));
    assert.equal(one.status, 200);
  };
  await Promise.all(Array.from({ length: 4 }, (_, i) => serve(i)));
  assert.deepEqual(oauth.seen, ['rt-1']);
  assert.equal(JSON.parse(fs.readFileSync(auth, 'utf8')).tokens.refresh_token, 'rt-2');
  const { apps } = await s.status();
  assert.deepEqual(apps.map((a) => [a.name, a.state, a.restarts]), [
    ['app-server-0', 'ready', 0], ['app-server-1', 'ready', 0], ['proxy', 'ready', 0],
  ]);
});
