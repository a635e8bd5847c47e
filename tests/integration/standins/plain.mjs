// An app of an ecosystem file that does what its first argument says, as JSON.
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';

const options = JSON.parse(process.argv[2] ?? '{}');

process.on('SIGTERM', () => {
  console.log('got SIGTERM');
  if (!options.ignoresTerm) process.exit(0);
});
if (options.tells) {
  const { cwd, argv, env } = { cwd: process.cwd(), argv: process.argv.slice(2), env: process.env };
  console.log('TELLS ' + JSON.stringify({ cwd, argv, env }));
}
if (options.orphans) {
  // one in an own session, without a parent, and one that is a plain child
  spawn('setsid', ['sleep', '600'], { detached: true, stdio: 'ignore' }).unref();
  spawn('sleep', ['600'], { stdio: 'ignore' }).unref();
}
if (options.http) {
  let asked = 0;
  http.createServer((_, response) => {
    response.statusCode = ++asked < 3 ? 503 : 200;
    response.end();
  }).listen(options.http);
}
if (options.listen) net.createServer((socket) => socket.end()).listen(options.listen);
if (options.control) {
  const socket = net.connect(process.env.CODEX_CONTROL_SOCKET);
  socket.write('{"jsonrpc":"2.0","method":"app/ready"}\n');
}
if (options.sends) setTimeout(() => process.send(options.sends), 100);
if (options.kills) setTimeout(() => process.kill(process.pid, options.kills), options.after ?? 0);
if (options.exit !== undefined) setTimeout(() => process.exit(options.exit), options.after ?? 0);
setInterval(() => {}, 1000);
