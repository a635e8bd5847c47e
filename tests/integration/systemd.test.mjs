// The unit as it is shipped, under a real systemd, with the real codex: what an operator sees of it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chat, stream, API_KEY } from './http_kit.mjs';
import { Container, whyNoContainer } from './nspawn_kit.mjs';
import { Provider } from './pair_kit.mjs';
import { freePort, needsCodex, until } from './supervisor_kit.mjs';

const UNIT = 'codex-sidecar.service';
const WATCHDOG_S = 3;
const PATIENCE_S = 6; // less than two streams here take: the supervisor has to ask for more time
const why = whyNoContainer();
const needed = why ? { skip: why } : needsCodex;

let provider;
let machine;
let port;

const codexes = () => machine.processes().filter((p) => p.name === 'codex');
const ours = () => machine.processes().filter((p) => /^codex/.test(p.name));
const mainPid = () => Number(machine.show(UNIT, 'MainPID'));
const ready = () => /^ready; app-server-0 ready pid \d+, proxy ready pid \d+/.test(machine.show(UNIT, 'StatusText'));
// The pid that this machine knows it by.
const outerPid = (inner) => machine.processes().find((p) => p.inner === inner).pid;

async function serves(text) {
  const answer = await chat(port, `!say 1 1 ${text}`);
  assert.equal(answer.status, 200, JSON.stringify(answer.json));
}

// By systemd alone, which has started it again for the so-manieth time.
async function recovered(restarts) {
  await until(() => machine.show(UNIT, 'NRestarts') === String(restarts), 'systemd to notice');
  await until(() => machine.show(UNIT, 'SubState') === 'running' && ready(), 'it to be up again');
  assert.deepEqual(ours().map((p) => p.name).sort(), ['codex', 'codex-proxy', 'codex-superviso'], 'one of each');
}

before(async () => {
  if (needed.skip) return;
  provider = await Provider.start();
  port = await freePort();
  machine = await Container.boot({
    files: {
      '/etc/codex-sidecar/api-key': `${API_KEY}\n`,
      '/etc/codex-sidecar/codex-sidecar.env': `CODEX_PROXY_PORT=${port}
CODEX_PROXY_RATE_LIMIT=0
CODEX_BIN=/opt/codex/bin/codex
UPSTREAM_KEY=upstream-secret
`,
      '/var/lib/codex-sidecar/codex/config.toml': provider.toml,
      '/etc/systemd/system/codex-sidecar.service.d/test.conf': `[Service]
WatchdogSec=${WATCHDOG_S}
TimeoutStartSec=${PATIENCE_S}
TimeoutStopSec=${PATIENCE_S}
LimitCORE=0
`,
    },
  });
  machine.run('systemd-sysusers');
  machine.run('systemctl', 'daemon-reload');
});

after(async () => {
  await machine?.dispose();
  await provider?.kill();
});

test('systemctl start returns when a request is answered, and status shows our line', needed, async () => {
  machine.run('systemctl', 'start', UNIT);
  await serves('started');
  assert.ok(ready());
  const shown = machine.run('systemctl', 'status', '--no-pager', UNIT);
  assert.match(shown, /Active: active \(running\)/);
  assert.match(shown, /Status: "ready; app-server-0 ready pid \d+, proxy ready pid \d+/);
  assert.doesNotMatch(machine.journal(), new RegExp(`${API_KEY}|upstream-secret`));
});

test('systemctl reload replaces all without a gap, and a stream goes on, however long', needed, async () => {
  const main = mainPid();
  const before = ours().map((p) => p.inner);
  const long = stream(port, `!say ${(PATIENCE_S + 2) * 10} 100 long`);
  await long.text('long0');
  await machine.runAlong('systemctl', 'reload', UNIT);
  assert.equal(await long.end(), 'whole');
  assert.equal(long.error, undefined);
  await serves('reloaded');
  assert.equal(mainPid(), main);
  assert.deepEqual(ours().map((p) => p.inner).filter((pid) => before.includes(pid)), [main], 'but for the supervisor all are new');
});

test('SIGHUP: systemd sees it reload and run on, and nothing that did not change is touched', needed, async () => {
  const before = ours().map((p) => p.inner);
  const changed = machine.show(UNIT, 'StateChangeTimestampMonotonic');
  machine.run('systemctl', 'kill', '--kill-who=main', '--signal=HUP', UNIT);
  await until(() => machine.show(UNIT, 'StateChangeTimestampMonotonic') !== changed, 'RELOADING=1');
  await until(() => machine.show(UNIT, 'SubState') === 'running', 'READY=1');
  assert.deepEqual(ours().map((p) => p.inner), before);
  await serves('after SIGHUP');
});

test('kill -9 of the app-server: the unit goes on, and serves again', needed, async () => {
  const main = mainPid();
  const [{ pid }] = codexes();
  process.kill(pid, 'SIGKILL');
  await until(() => codexes().some((p) => p.pid !== pid) && ready(), 'another one');
  await serves('after the app-server');
  assert.equal(mainPid(), main);
  assert.equal(machine.show(UNIT, 'NRestarts'), '0');
});

test('kill -9 of the main process: systemd starts it again, with one of each and not two', needed, async () => {
  process.kill(outerPid(mainPid()), 'SIGKILL');
  await recovered(1);
  await serves('after kill -9');
});

test('a supervisor that hangs: the watchdog ends it, and systemd starts it again', needed, async () => {
  const begin = Date.now();
  process.kill(outerPid(mainPid()), 'SIGSTOP');
  await recovered(2);
  assert.ok(Date.now() - begin > (WATCHDOG_S * 1000) / 2, 'not before its time');
  assert.match(machine.journal(), /Watchdog timeout/);
  await serves('after the watchdog');
});

test('the watchdog is fed: what runs is left alone', needed, async () => {
  const main = mainPid();
  const begin = Date.now();
  await until(() => Date.now() - begin > WATCHDOG_S * 1500, 'more than its time');
  assert.equal(mainPid(), main);
  assert.equal(machine.show(UNIT, 'NRestarts'), '2');
});

test('systemctl restart: another main process, and it serves', needed, async () => {
  const main = mainPid();
  machine.run('systemctl', 'restart', UNIT);
  assert.notEqual(mainPid(), main);
  await serves('restarted');
});

test('systemctl stop: a stream is finished first, beyond TimeoutStopSec; then no process and no socket is left', needed, async () => {
  const long = stream(port, `!say ${(PATIENCE_S + 2) * 10} 100 last`);
  await long.text('last0');
  await machine.runAlong('systemctl', 'stop', UNIT);
  assert.equal(await long.end(), 'whole');
  assert.equal(machine.show(UNIT, 'ActiveState'), 'inactive');
  assert.equal(machine.show(UNIT, 'Result'), 'success');
  assert.deepEqual(ours(), []);
  assert.equal(machine.exists('/run/codex-sidecar'), false);
  assert.match(machine.journal(), /codex-sidecar.service: Deactivated successfully/);
});

test('wrong settings: the start fails at once, with the reason, and is not tried again', needed, async () => {
  machine.write('/etc/codex-sidecar/codex-sidecar.env', 'CODEX_PROXY_PORT=0\n');
  assert.notEqual(machine.tryRun('systemctl', 'start', UNIT).status, 0);
  assert.equal(machine.show(UNIT, 'ExecMainStatus'), '78');
  assert.equal(machine.show(UNIT, 'ActiveState'), 'failed');
  assert.match(machine.journal(), /CODEX_PROXY_PORT: /);
});

test('the unit for a user: it serves with the login of ~/.codex, reloads, and leaves nothing behind', needed, async () => {
  const home = '/home/somebody';
  const id = 4242;
  const own = await freePort();
  const files = {
    '.config/codex-sidecar/api-key': `${API_KEY}\n`,
    '.config/codex-sidecar/codex-sidecar.env': `CODEX_PROXY_PORT=${own}\nCODEX_BIN=/opt/codex/bin/codex\nUPSTREAM_KEY=upstream-secret\n`,
    '.codex/config.toml': provider.toml,
  };
  machine.write('/etc/sysusers.d/somebody.conf', `u somebody ${id} - ${home} /bin/sh\n`);
  machine.run('systemd-sysusers');
  for (const [name, content] of Object.entries(files)) machine.write(`${home}/${name}`, content);
  machine.run('chown', '-R', `${id}:${id}`, home);
  machine.run('systemctl', 'start', `user@${id}`);
  const user = (...words) => machine.run('setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', 'env', `HOME=${home}`, `XDG_RUNTIME_DIR=/run/user/${id}`, ...words);
  user('systemctl', '--user', 'enable', '--now', UNIT);
  assert.equal((await chat(own, '!say 1 1 mine')).status, 200);
  const before = codexes().map((p) => p.inner);
  user('systemctl', '--user', 'reload', UNIT);
  assert.equal((await chat(own, '!say 1 1 mine')).status, 200);
  assert.equal(codexes().some((p) => before.includes(p.inner)), false, 'replaced');
  assert.match(user('codex-supervisor', 'status'), /^codex-supervisor .* running, ready/);
  user('systemctl', '--user', 'stop', UNIT);
  assert.equal(user('systemctl', '--user', 'show', '--value', '-p', 'Result', UNIT).trim(), 'success');
  assert.deepEqual(ours(), []);
  assert.equal(machine.exists(`/run/user/${id}/codex-sidecar`), false);
});
