// The account's limits as the provider tells them: when to come again, and what /metrics shows;
// and the model that the provider really took. Through the real codex.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, assertError, assertWellFormed, chat, stream } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { needsCodex, until } from './supervisor_kit.mjs';

const seconds = () => Math.floor(Date.now() / 1000);
const header = (name, value) => `!header ${name} ${value}\n`;
const window = (name, percent, minutes, resetsAt) =>
  header(`x-codex-${name}-used-percent`, percent) +
  header(`x-codex-${name}-window-minutes`, minutes) +
  header(`x-codex-${name}-reset-at`, resetsAt);
const usageLimit = '!status 429 {"error":{"type":"usage_limit_reached","message":"no more","plan_type":"plus"}}';

describe('the account', needsCodex, () => {
  let p;
  before(async () => (p = await Pair.start()));
  after(() => p?.stop());

  const samples = async () => {
    const { text } = await ask(p.port, { path: '/metrics', key: null });
    const lines = text.split('\n').map((l) => /^codex_sidecar_(\S+) (\S+)$/.exec(l)).filter(Boolean);
    return Object.fromEntries(lines.map(([, name, value]) => [name, Number(value)]));
  };
  const limits = async () =>
    Object.fromEntries(Object.entries(await samples()).filter(([name]) => name.startsWith('account_')));
  const insufficient = { type: 'insufficient_quota', code: 'insufficient_quota' };

  test('before a window is known, 429 has no Retry-After, and /metrics no window', async () => {
    const refused = await chat(p.port, usageLimit);
    assertError(refused, 429, insufficient);
    assert.equal(refused.headers['retry-after'], undefined);
    assert.equal(refused.headers['x-should-retry'], 'false');
    assert.deepEqual(await limits(), {});
  });

  test('what an answer tells of the windows is in /metrics, until it is told anew', async () => {
    const hour = seconds() + 3600;
    const week = seconds() + 500000;
    const answer = await chat(p.port, `${window('primary', 42.6, 300, hour)}${window('secondary', 7, 10080, week)}!say well`);
    assert.equal(answer.status, 200, answer.text);
    const primary = 'limit="codex",window="primary"';
    const secondary = 'limit="codex",window="secondary"';
    const told = {
      [`account_rate_limit_used_percent{${primary}}`]: 43,
      [`account_rate_limit_used_percent{${secondary}}`]: 7,
      [`account_rate_limit_window_seconds{${primary}}`]: 18000,
      [`account_rate_limit_window_seconds{${secondary}}`]: 604800,
      [`account_rate_limit_reset_timestamp_seconds{${primary}}`]: hour,
      [`account_rate_limit_reset_timestamp_seconds{${secondary}}`]: week,
    };
    await until(async () => Object.keys(await limits()).length > 0, 'the windows');
    assert.deepEqual(await limits(), told);
    assert.equal((await chat(p.port, '!say nothing of windows')).status, 200);
    assert.deepEqual(await limits(), told);
    await chat(p.port, `${window('primary', 44, 300, hour)}!say more`);
    await until(async () => (await limits())[`account_rate_limit_used_percent{${primary}}`] === 44, 'the new figure');
  });

  test('a used-up window: 429 says when it begins anew, in a stream of choices too', async () => {
    const reset = seconds() + 5000;
    const text = `${window('primary', 100, 300, reset)}${usageLimit}`;
    const isTrue = (answer) => {
      const left = reset - seconds();
      const told = Number(answer.headers['retry-after']);
      assert.ok(left <= told && told <= left + 10, `${told}, ${left} left`);
    };
    const whole = await chat(p.port, text);
    assertError(whole, 429, { ...insufficient, message: /usage limit/ });
    isTrue(whole);
    const s = stream(p.port, text, { n: 2 });
    await s.opened;
    assert.equal(s.status, 429);
    isTrue(s);
    await s.end();
    // a limit that has nothing to do with the window
    const busy = await chat(p.port, '!failed flex_unavailable no room');
    assertError(busy, 429, { type: 'rate_limit_error', code: 'resource_unavailable' });
    assert.equal(busy.headers['retry-after'], undefined);
  });

  test('of two used-up windows the longer wait counts; what nobody can say is not told', async () => {
    const hour = seconds() + 3600;
    const week = seconds() + 500000;
    const both = await chat(p.port, `${window('primary', 100, 300, hour)}${window('secondary', 100, 10080, week)}${usageLimit}`);
    assert.ok(Math.abs(Number(both.headers['retry-after']) - 500000) < 30, both.headers['retry-after']);
    const never = await chat(p.port, `${window('primary', 100, 300, hour)}${window('secondary', 100, 10080, seconds() + 1e8)}${usageLimit}`);
    assert.equal(never.status, 429);
    assert.equal(never.headers['retry-after'], undefined);
  });

  test('a window whose time is over is not shown any more, and does not hold callers up', async () => {
    const soon = seconds() + 2;
    await chat(p.port, `${window('primary', 100, 300, soon)}${window('secondary', 3, 10080, seconds() + 9)}!say well`);
    const shown = 'account_rate_limit_used_percent{limit="codex",window="primary"}';
    await until(async () => !(shown in (await limits())) && seconds() >= soon, 'the window to be over');
    const refused = await chat(p.port, usageLimit);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], undefined);
  });

  test('a provider that takes another model: the answer names the one that answered', async () => {
    const { json } = await ask(p.port, { path: '/v1/models' });
    const [asked, taken] = json.data.map((m) => m.id);
    const text = `${header('openai-model', taken)}!say 3 0 t`;
    const whole = await chat(p.port, text, { model: asked });
    assert.deepEqual([whole.status, whole.json.model], [200, taken]);
    const s = stream(p.port, text, { model: asked });
    assert.equal(await s.end(), 'whole');
    assert.equal(assertWellFormed(s.chunks), 't0 t1 t2 ');
    assert.equal(s.chunks[0].model, taken);
    const line = await p.over(whole.headers['x-request-id']);
    assert.ok(line.msg.includes(`model=${taken} `), line.msg);
    assert.equal((await chat(p.port, '!say plain', { model: asked })).json.model, asked);
  });

  test('restarts of the app-server and of the proxy are counted', async () => {
    assert.deepEqual([(await samples())['backend_restarts_total{backend="0"}'], (await samples()).proxy_restarts_total], [0, 0]);
    process.kill((await p.sidecar.app('app-server-0')).pid, 'SIGKILL');
    const restarted = 'backend_restarts_total{backend="0"}';
    await until(async () => (await samples())[restarted] === 1, 'the restart to be counted');
    const done = await p.sidecar.ask('restart', { app: 'proxy' });
    assert.equal(done.error, undefined, JSON.stringify(done));
    await until(async () => (await samples())[restarted] === 1, 'the new proxy to know');
    assert.equal((await samples()).proxy_restarts_total, 1);
    // one that replaces another goes on counting
    await p.sidecar.ask('reload', { app: 'app-server-0' });
    const counts = await until(async () => {
      const now = Object.entries(await samples()).filter(([name]) => name.startsWith('backend_restarts_total'));
      return now.length === 1 && now;
    }, 'the old one to be forgotten');
    assert.equal(counts[0][1], 2);
    assert.notEqual(counts[0][0], restarted);
  });
});
