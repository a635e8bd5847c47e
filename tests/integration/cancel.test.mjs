// Callers who leave, hundreds at once, and connections that break: nothing runs on unseen.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { chat, stream, textOf } from './http_kit.mjs';
import { AppServerClient, LoneProxy, isReady, lone, noThreadIsLoaded, pair } from './pair_kit.mjs';
import { needsCodex, until } from './supervisor_kit.mjs';

const MANY = 500;
const crowd = { CODEX_MAX_CONCURRENT: String(MANY), CODEX_MAX_QUEUE_DEPTH: '0', CODEX_LOG_LEVEL: 'info' };

test('500 callers leave at once: no turn runs on, no thread stays loaded', needsCodex, async (t) => {
  const p = await pair(t, { env: { ...crowd, CODEX_ORPHAN_SWEEP_INTERVAL_MS: '3600000' } });
  const behind = await AppServerClient.connect(p.socketUrl);
  t.after(() => behind.close());
  const streams = [];
  while (streams.length < MANY) { // codex takes its time with each: some at a time
    const more = Array.from({ length: 50 }, (_, i) => stream(p.port, `!part here${streams.length + i}\n!stall`));
    await Promise.all(more.map((s, i) => s.text(`here${streams.length + i}`)));
    streams.push(...more);
  }
  assert.equal((await behind.loadedThreads()).length, MANY);
  for (const s of streams) s.abort();
  const aborted = () => p.provider.out.all.filter((l) => l.event === 'aborted').length;
  await until(() => aborted() === MANY, 'the model to be let go by all');
  await until(async () => (await behind.loadedThreads()).length === 0, 'every thread to be unloaded', 10000);
  await p.assertIdle();
  assert.equal(textOf(await chat(p.port, '!say 1 0 well')), 'well');
});

test('500 leave before anything has come, some of them before their thread has begun', needsCodex, async (t) => {
  const p = await pair(t, { env: { ...crowd, CODEX_ORPHAN_SWEEP_INTERVAL_MS: '3600000' } });
  const behind = await AppServerClient.connect(p.socketUrl);
  t.after(() => behind.close());
  const streams = Array.from({ length: MANY }, (_, i) => stream(p.port, `!hang\nnobody${i}`));
  await until(async () => (await p.inFlight()) > MANY / 2, 'half of them to be there');
  for (const s of streams) s.abort();
  await until(async () => (await p.inFlight()) === 0, 'all of them to be gone');
  await until(async () => (await behind.loadedThreads()).length === 0, 'every thread to be unloaded', 10000);
  await until(() => {
    const told = (event) => p.provider.out.all.filter((l) => l.event === event).length;
    return told('open') === told('aborted');
  }, 'the model to be let go by all');
  await p.assertIdle();
  assert.equal(textOf(await chat(p.port, '!say 1 0 well')), 'well');
});

test('threads that codex keeps although they are unsubscribed are unsubscribed again', async (t) => {
  const f = await lone(t);
  await f.fake.order('keep-loaded 5');
  await Promise.all(Array.from({ length: 10 }, (_, i) => chat(f.port, `!say 1 0 ${i}`)));
  await noThreadIsLoaded(f.fake.url);
  assert.equal(f.fake.count('thread/unsubscribe'), 15);
});

// A unix socket in front of another, that the test can cut.
class Relay {
  static async start(t, target) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'relay-'));
    const relay = new Relay();
    relay.pairs = [];
    relay.accepted = 0;
    relay.path = path.join(dir, 'r.sock');
    relay.server = net.createServer((from) => relay.join(from, net.connect(target))).listen(relay.path);
    t.after(() => {
      relay.cut();
      relay.server.close();
      fs.rmSync(dir, { recursive: true, force: true });
    });
    return relay;
  }

  join(from, to) {
    this.accepted++;
    this.pairs.push([from, to]);
    from.pipe(to);
    to.pipe(from);
    from.on('error', () => to.destroy()).on('close', () => to.destroy());
    to.on('error', () => from.destroy()).on('close', () => from.destroy());
  }

  // No byte more in either direction, and no goodbye.
  cut() {
    for (const both of this.pairs) for (const socket of both) socket.destroy();
    this.pairs = [];
  }
}

test('a connection cut in the middle of turns: the model is let go within 1 s of the reconnect', needsCodex, async (t) => {
  const p = await pair(t);
  const relay = await Relay.start(t, p.socketUrl.slice('unix://'.length));
  const proxy = await LoneProxy.start(`unix://${relay.path}`, { CODEX_MAX_CONCURRENT: '20' });
  t.after(async () => {
    await proxy.stop().finally(() => proxy.kill());
    fs.rmSync(proxy.root, { recursive: true, force: true });
  });
  await isReady(proxy);
  for (const round of [1, 2]) {
    const from = p.provider.out.mark;
    const streams = Array.from({ length: 20 }, (_, i) => stream(proxy.port, `!part cut${round}-${i}\n!stall`));
    await Promise.all(streams.map((s, i) => s.text(`cut${round}-${i}`)));
    const before = relay.accepted;
    relay.cut();
    await until(() => relay.accepted > before, 'the proxy to come again');
    const back = Date.now();
    const aborted = () => p.provider.out.all.slice(from).filter((l) => l.event === 'aborted').length;
    await until(() => aborted() === 20, 'the model to be let go');
    assert.ok(Date.now() - back < 1000, `${Date.now() - back} ms`);
    for (const s of streams) {
      assert.equal(await s.end(), 'whole');
      assert.equal(s.error.code, 'backend_lost');
    }
    await until(async () => (await proxy.readyz()).status === 200, 'the proxy to be ready');
    assert.equal(textOf(await chat(proxy.port, '!say 1 0 well')), 'well');
  }
  await noThreadIsLoaded(p.socketUrl);
});
