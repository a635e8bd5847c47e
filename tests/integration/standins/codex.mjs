// Stands in for codex where a test wants it to misbehave: `codex debug models`, `codex app-server`.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import readline from 'node:readline';

const options = JSON.parse(process.env.STANDIN ?? '{}');
const args = process.argv.slice(2);
const model = {
  slug: 'stand-in',
  display_name: 'Stand-in',
  base_instructions: 'You are Codex',
  truncation_policy: { mode: 'tokens', limit: 1 },
};

fs.appendFileSync(options.calls, `${process.pid} ${args.slice(0, 2).join(' ')}\n`);

function appServer(path) {
  if (options.exit !== undefined) {
    console.error(options.says ?? 'Error: stand-in told to exit');
    process.exit(options.exit);
  }
  if (options.orphan) {
    // an own session, and no parent: only the environment tells whose it is
    spawn('setsid', ['sleep', '600'], { detached: true, stdio: 'ignore' }).unref();
    spawn('sleep', ['600'], { stdio: 'ignore' }).unref();
  }
  process.on('SIGTERM', () => {
    console.log(`got SIGTERM`);
    if (!options.ignoresTerm) process.exit(0);
  });
  if (options.neverListens) {
    setInterval(() => {}, 1000);
    return;
  }
  const server = http.createServer();
  server.on('upgrade', (request, socket) => {
    const accept = crypto
      .createHash('sha1')
      .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
      .digest('base64');
    socket.on('error', () => {});
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  });
  server.listen(path, () => {
    if (options.diesAfterReady) setTimeout(() => process.exit(3), options.diesAfterReady);
  });
}

function configRead() {
  if (options.badConfig) {
    console.error(options.badConfig);
    process.exit(1);
  }
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const { id } = JSON.parse(line);
    if (id) console.log(JSON.stringify({ id, result: { config: { model_providers: {} } } }));
  });
}

if (args[0] === 'debug') console.log(JSON.stringify({ models: [model] }));
else if (args.includes('--listen')) appServer(args[args.indexOf('--listen') + 1].slice('unix://'.length));
else configRead();
