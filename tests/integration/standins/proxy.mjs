// Stands in for codex-proxy: says what docs/control.md wants of it, tells on stdout what it hears.
import http from 'node:http';
import net from 'node:net';
import readline from 'node:readline';

const options = JSON.parse(process.env.STANDIN ?? '{}');
const tell = (what) => console.log('STANDIN ' + JSON.stringify(what));

if (options.exit !== undefined) process.exit(options.exit);

const server = http.createServer((request, response) => {
  // GET /say?MESSAGE: a test lets it say something to the supervisor
  const message = /^\/say\?(.*)/.exec(request.url)?.[1];
  if (message) say(JSON.parse(decodeURIComponent(message)));
  response.end(`served by ${process.pid}\n`);
});
server.listen({ fd: 3 }, () => tell({ listening: server.address().port ?? server.address() }));

const control = net.connect(process.env.CODEX_CONTROL_SOCKET);
const say = (message) => control.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
readline.createInterface({ input: control }).on('line', (line) => {
  const message = JSON.parse(line);
  tell({ heard: message });
  if (message.id === 1) {
    if (!options.neverReady) say({ method: 'proxy/ready', params: { ready: true } });
    say({ method: 'proxy/stats', params: { in_flight: 2, queued: 1, threads: 3 } });
  }
  if (['drain', 'backend/drain'].includes(message.method) && !options.neverDrains)
    say({ id: message.id, result: { in_flight: 0 } });
});
say({
  id: 1,
  method: 'proxy/hello',
  params: { protocol: 1, pid: process.pid, generation: Number(process.env.CODEX_PROXY_GENERATION) },
});
process.on('SIGTERM', () => {
  tell({ signal: 'SIGTERM' });
  if (!options.ignoresTerm) process.exit(0);
});
tell({ environment: process.env });
