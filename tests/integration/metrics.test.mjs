// /metrics as Prometheus sees it, and the line that each request leaves in the log.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { API_KEY, ask, chat, post, stream } from './http_kit.mjs';
import { lone } from './pair_kit.mjs';
import { until, withDeadline } from './supervisor_kit.mjs';

// {'name{labels}': value}
async function scrape(port, options = {}) {
  const page = await ask(port, { path: '/metrics', key: null, ...options });
  assert.equal(page.status, 200, page.text);
  assert.equal(page.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const samples = {};
  for (const line of page.text.trimEnd().split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, value] = /^(codex_sidecar_\S+) ([0-9.e+-]+)$/.exec(line) ?? assert.fail(line);
    assert.ok(!(name in samples), `${name} twice`);
    samples[name.slice('codex_sidecar_'.length)] = Number(value);
  }
  return samples;
}

const CHAT = 'path="/v1/chat/completions"';

test('requests, times, tokens, turns and app-servers are counted', async (t) => {
  const f = await lone(t, { env: { CODEX_PROXY_RATE_LIMIT: '4' } });
  const at = Date.now() / 1000;
  assert.equal((await chat(f.port, '!say 3 0 t')).status, 200);
  const s = stream(f.port, '!say 3 0 t');
  assert.equal(await s.end(), 'whole');
  assert.equal((await post(f.port, '{"messages":[]}')).status, 400);
  assert.equal((await chat(f.port, '!fail "internalServerError" no')).status, 502);
  assert.equal((await chat(f.port, 'too many')).status, 429);
  assert.equal((await chat(f.port, 'x', {}, { key: 'sk-wrong' })).status, 401);
  assert.equal((await ask(f.port, { path: '/nowhere' })).status, 404);
  const m = await until(async () => {
    const now = await scrape(f.port);
    // an answer is counted a moment after its last byte has left
    return now[`request_duration_seconds_count{path="other"}`] === 1 && now.threads === 0 && now;
  }, 'everything to be counted');
  assert.equal(m[`requests_total{${CHAT},status="2xx",outcome="stop"}`], 2);
  assert.equal(m[`requests_total{${CHAT},status="4xx",outcome="invalid_request"}`], 1);
  assert.equal(m[`requests_total{${CHAT},status="4xx",outcome="rate_limited"}`], 1);
  assert.equal(m[`requests_total{${CHAT},status="4xx",outcome="unauthorized"}`], 1);
  assert.equal(m[`requests_total{${CHAT},status="5xx",outcome="upstream_error"}`], 1);
  assert.equal(m['requests_total{path="other",status="4xx",outcome="refused"}'], 1);
  assert.equal(m[`request_duration_seconds_bucket{${CHAT},le="+Inf"}`], 6);
  assert.equal(m[`request_duration_seconds_count{${CHAT}}`], 6);
  assert.equal(m[`time_to_first_token_seconds_count{${CHAT}}`], 2);
  assert.equal(m[`queue_wait_seconds_count{${CHAT}}`], 3);
  assert.ok(m[`time_to_first_token_seconds_sum{${CHAT}}`] <= m[`request_duration_seconds_sum{${CHAT}}`]);
  assert.ok(m['tokens_total{kind="input"}'] > 0 && m['tokens_total{kind="output"}'] > 0);
  assert.equal(m['turns_total{result="ok"}'], 2);
  assert.equal(m['turns_total{result="upstream"}'], 1);
  assert.equal(m.rate_limited_total, 1);
  assert.deepEqual([m.turns_in_flight, m.turns_queued, m.ready, m.requests_in_work], [0, 0, 1, 1]);
  assert.ok(m.connections >= 1);
  assert.equal(m['backend_state{backend="0",state="usable"}'], 1);
  assert.equal(m['backend_connects_total{backend="0"}'], 1);
  assert.ok(m.process_resident_memory_bytes > 1e6 && m.process_open_fds > 5);
  assert.ok(m.process_max_fds > m.process_open_fds && m.process_cpu_seconds_total > 0);
  assert.ok(Math.abs(m.process_start_time_seconds - at) < 30, String(m.process_start_time_seconds));
  assert.equal(m['build_info{version="0.1.0"}'], 1);
});

test('what runs and what waits is seen while it does', async (t) => {
  const f = await lone(t, { env: { CODEX_MAX_CONCURRENT: '1' } });
  const running = stream(f.port, '!part busy\n!silence');
  await running.text('busy');
  const waiting = stream(f.port, 'waits');
  const m = await until(async () => {
    const now = await scrape(f.port);
    return now.turns_queued === 1 && now;
  }, 'one to wait');
  assert.deepEqual([m.turns_in_flight, m.threads], [1, 1]);
  assert.equal(m.requests_in_work, 3);
  running.abort();
  assert.equal(await waiting.end(), 'whole');
  await until(async () => {
    const now = await scrape(f.port);
    return now[`requests_total{${CHAT},status="2xx",outcome="cancelled"}`] === 1 && now.turns_in_flight === 0;
  }, 'the end of both');
});

test('an app-server that goes and comes back is seen', async (t) => {
  const f = await lone(t);
  await f.fake.stop();
  await until(async () => {
    const now = await scrape(f.port);
    return now['backend_state{backend="0",state="down"}'] === 1 && now.ready === 0;
  }, 'the loss to be seen');
  f.fake = await f.fake.constructor.start(f.fake.url);
  await until(async () => (await scrape(f.port))['backend_connects_total{backend="0"}'] === 2, 'the reconnect');
});

test('a proxy on this machine that speaks for others needs the key', async (t) => {
  const f = await lone(t);
  const headers = { 'x-forwarded-for': '203.0.113.7' };
  assert.equal((await ask(f.port, { path: '/metrics', key: null, headers })).status, 401);
  await scrape(f.port, { key: API_KEY, headers });
  const open = await lone(t, { env: { CODEX_METRICS_NO_AUTH: '1' } });
  await scrape(open.port, { headers });
});

test('each request leaves one line, whatever became of it, and never its content', async (t) => {
  const f = await lone(t);
  const line = (id) => f.proxy.over(id);
  const headers = (id) => ({ headers: { 'x-request-id': id } });
  await chat(f.port, '!say 3 5 secret', {}, headers('one'));
  const one = await line('one');
  assert.deepEqual([one.level, one.method, one.path, one.status, one.outcome, one.key],
    ['info', 'POST', '/v1/chat/completions', 200, 'stop', 1]);
  assert.ok(one.model.startsWith('gpt-'), one.text);
  assert.ok(one.output_tokens > 0 && one.input_tokens > 0 && one.reasoning_tokens >= 0 && one.cached_tokens >= 0);
  assert.ok(0 <= one.queue_ms && one.queue_ms <= one.first_ms && one.first_ms <= one.ms, one.text);
  await post(f.port, '{', headers('two'));
  const two = await line('two');
  assert.deepEqual([two.status, two.outcome, two.queue_ms], [400, 'invalid_request', undefined]);
  await ask(f.port, { path: '/nope', ...headers('three') });
  assert.deepEqual([(await line('three')).status, (await line('three')).outcome], [404, 'refused']);
  await ask(f.port, { path: '/nope', key: 'sk-wrong', ...headers('four') });
  assert.deepEqual([(await line('four')).outcome, (await line('four')).key], ['unauthorized', 0]);
  await ask(f.port, { path: '/v1/models', ...headers('five') });
  assert.deepEqual([(await line('five')).outcome, (await line('five')).key], ['ok', 1]);
  await ask(f.port, { path: '/healthz', key: null, ...headers('six') });
  assert.equal((await line('six')).level, 'debug');
  const s = stream(f.port, '!part x\n!silence', {}, headers('seven'));
  await s.text('x');
  s.abort();
  assert.deepEqual([(await line('seven')).outcome, (await line('seven')).status], ['cancelled', 200]);
  // one that could not be read at all
  const raw = net.connect(f.port, '127.0.0.1');
  raw.end('POST /v1/models HTTP/1.1\r\nhost: x\r\nx-request-id: eight\r\ncontent-length: many\r\n\r\n');
  raw.resume();
  await withDeadline(once(raw, 'close'), 'the end of a bad request');
  assert.deepEqual([(await line('eight')).outcome, (await line('eight')).status], ['refused', 400]);
  assert.ok(!f.proxy.logText.includes('secret'));
  for (const id of ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'])
    assert.equal(f.proxy.log.all.filter((l) => l.outcome && l.request_id === id).length, 1, id);
});
