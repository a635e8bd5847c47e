// Whom codex talks to: the provider of the configuration, and nobody else.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { chat } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { needsCodex } from './supervisor_kit.mjs';

test('codex talks to its provider and to nobody else, at the start and in a turn', needsCodex, async (t) => {
  const called = [];
  const gateway = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      called.push(String(data).split('\r\n')[0]);
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
  });
  gateway.listen(0, '127.0.0.1');
  await once(gateway, 'listening');
  t.after(() => gateway.close());
  const url = `http://127.0.0.1:${gateway.address().port}`;
  const p = await Pair.start({ env: { HTTPS_PROXY: url, ALL_PROXY: url, NO_PROXY: '127.0.0.1' } });
  try {
    for (let i = 0; i < 5; i++) assert.equal((await chat(p.port, '!say 3 50 t')).status, 200);
    assert.deepEqual(called, []);
  } finally {
    await p.stop();
  }
  assert.deepEqual(called, []);
});
