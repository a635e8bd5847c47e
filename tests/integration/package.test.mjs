// The Debian package under a real systemd, with the real codex: from `apt install` to `apt purge`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { ask, chat } from './http_kit.mjs';
import { Container, installPackage, whyNoContainer } from './nspawn_kit.mjs';
import { Provider } from './pair_kit.mjs';
import { freePort, needsCodex, until } from './supervisor_kit.mjs';

const UNIT = 'codex-sidecar.service';
const TWO = 'codex-sidecar@two.service';
const HOME = '/var/lib/codex-sidecar/codex';
const LIBRARIES = [
  'libuv1', 'libjansson4', 'libwebsockets17', 'libwebsockets-evlib-uv', 'libwslay1', 'libhttp-parser2.9', 'libcurl4',
];
const EXPOSURE_MAX = 2.0;
const why = whyNoContainer();
const needed = why ? { skip: why } : needsCodex;

let provider;
let machine;
let port;
let key;

const apt = (...words) => machine.run('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', '-y', ...words);
const ours = () => machine.processes().filter((p) => /^codex/.test(p.name));
const status = (unit) => machine.show(unit, 'StatusText');
const isReady = (unit) => until(() => /^ready; /.test(status(unit)), `${unit} to be ready`).catch((error) => {
  error.message += `\n${status(unit)}\n${machine.journal()}`;
  throw error;
});
const config = () => provider.toml.replace('env_key = "UPSTREAM_KEY"', 'requires_openai_auth = true');
// As the README says it.
const login = (home, secret) =>
  machine.run('sh', '-c', `echo ${secret} | runuser -u codex-sidecar -- env CODEX_HOME=${home} codex login --with-api-key`);

async function serves(text) {
  const answer = await chat(port, `!say 1 1 ${text}`, {}, { key });
  assert.equal(answer.status, 200, answer.text);
}

before(async () => {
  if (needed.skip) return;
  provider = await Provider.start();
  port = await freePort();
  machine = await Container.boot({
    put: installPackage,
    files: {
      // this machine's ports are the container's
      [`/etc/systemd/system/${UNIT}.d/test.conf`]: `[Service]
Environment=CODEX_PROXY_PORT=${port} CODEX_PROXY_RATE_LIMIT=0
LimitCORE=0
`,
      [`${HOME}/config.toml`]: config(),
    },
  });
});

after(async () => {
  await machine?.dispose();
  await provider?.kill();
});

test('apt install ./x.deb: what it depends on comes too, a key is made, the service is up without a login and says so', needed, async () => {
  apt('purge', ...LIBRARIES);
  apt('update');
  apt('install', '--no-install-recommends', '/usr/local/codex-sidecar.deb');
  assert.equal(machine.run('stat', '-c', '%a %U', '/etc/codex-sidecar/api-key').trim(), '600 root');
  key = machine.run('cat', '/etc/codex-sidecar/api-key').trim();
  assert.match(key, /^sk-[0-9a-f]{48}$/);
  assert.equal(machine.show(UNIT, 'ActiveState'), 'active');
  assert.equal(machine.show(UNIT, 'UnitFileState'), 'enabled');
  const line = new RegExp(`^not ready: no login: run \`codex login\` with CODEX_HOME=${HOME}; app-server-0 ready pid \\d+, proxy ready pid \\d+$`);
  assert.match(status(UNIT), line);
  const shown = machine.run('systemctl', 'status', '--no-pager', '--full', UNIT);
  assert.match(shown, /Active: active \(running\)[^]*Status: "not ready: no login: run `codex login`/);
  const health = await ask(port, { path: '/readyz', key: null });
  assert.equal(health.status, 503);
  assert.match(health.json.reasons.join(), /no login/);
  const refused = await chat(port, '!say 1 1 x', {}, { key });
  assert.deepEqual([refused.status, refused.json.error.code], [503, 'login_required']);
  assert.doesNotMatch(machine.journal(), new RegExp(key));
});

test('the exposure that systemd finds is small', needed, (t) => {
  for (const unit of [UNIT, TWO, 'codex-auth-check.service']) {
    const text = machine.run('systemd-analyze', 'security', '--no-pager', unit);
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)[1]);
    t.diagnostic(`exposure of ${unit}: ${exposure}`);
    assert.ok(exposure <= EXPOSURE_MAX, text);
  }
});

test('codex login by the service user: taken up by itself, and an answer comes through the real codex', needed, async (t) => {
  login(HOME, 'sk-upstream-one');
  const begin = Date.now();
  await isReady(UNIT);
  t.diagnostic(`ready ${Date.now() - begin} ms after codex login had ended`);
  await serves('logged in');
  assert.equal(provider.requests.at(-1).headers.authorization, 'Bearer sk-upstream-one');
  assert.doesNotMatch(machine.journal(), /sk-upstream-one/);
});

test('kill -9 of the app-server, and of the main process: it serves again', needed, async () => {
  for (const name of ['codex', 'codex-superviso']) {
    const { pid } = ours().find((p) => p.name === name);
    process.kill(pid, 'SIGKILL');
    await until(() => ours().some((p) => p.name === name && p.pid !== pid), `another ${name}`);
    await isReady(UNIT);
    await serves(`after ${name}`);
  }
  assert.deepEqual(ours().map((p) => p.name).sort(), ['codex', 'codex-proxy', 'codex-superviso']);
});

test('systemctl reload under load: the new config.toml is taken up, and no request is lost', needed, async (t) => {
  const other = await Provider.start();
  t.after(() => other.kill());
  machine.write(`${HOME}/config.toml`, config().replace(`:${provider.port}/`, `:${other.port}/`));
  const answers = [];
  let done = false;
  const callers = Array.from({ length: 3 }, async (_, i) => {
    while (!done) answers.push((await chat(port, `!say 2 5 load${i}`, {}, { key })).status);
  });
  await until(() => answers.length > 5, 'answers');
  await machine.runAlong('systemctl', 'reload', UNIT);
  await serves('reloaded');
  done = true;
  await Promise.all(callers);
  assert.deepEqual(answers.filter((code) => code !== 200), []);
  t.diagnostic(`${answers.length} requests meanwhile`);
  assert.ok(other.requests.length > 0, 'the new provider is used');
});

test('codex-auth-check: an API key is well, a login that ends soon is told, one that has ended fails', needed, () => {
  // whether it ended well for systemd, and what it said at last
  const check = () => {
    const { status } = machine.tryRun('systemctl', 'start', 'codex-auth-check.service');
    const said = machine.run('journalctl', '-t', 'codex-auth-check.sh', '-t', 'codex-healthcheck', '-n', '12', '-o', 'cat', '--no-pager');
    return `${status === 0 ? 'well' : machine.show('codex-auth-check.service', 'ExecMainStatus')}: ${said}`;
  };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const chatgpt = (hours) => {
    const token = `${part({})}.${part({ exp: Math.floor(Date.now() / 1000) + hours * 3600 })}.${part('')}`;
    return JSON.stringify({ auth_mode: 'chatgpt', tokens: { id_token: token, access_token: token, refresh_token: 'r', account_id: 'a' } });
  };
  assert.match(check(), /^well: [^]*API key/);
  machine.run('systemctl', 'stop', UNIT); // it would refresh them
  machine.write(`${HOME}/auth.json`, chatgpt(47));
  assert.match(check(), /^well: [^]*expires in 4[67] h/);
  machine.write(`${HOME}/auth.json`, chatgpt(-1));
  assert.match(check(), /^1: [^]*expired 1 h/);
  machine.run('systemctl', 'start', 'codex-auth-check.timer');
  assert.match(machine.run('systemctl', 'list-timers', '--no-pager'), /codex-auth-check\.timer/);
});

test('codex-sidecar@two: one more, with its own port, key and login', needed, async () => {
  port = await freePort();
  key = 'sk-of-the-second';
  machine.write('/etc/codex-sidecar/two.env', `CODEX_PROXY_PORT=${port}\n`);
  machine.write('/etc/codex-sidecar/two.key', `${key}\n`);
  machine.run('systemctl', 'start', TWO);
  assert.match(status(TWO), /^not ready: no login: .*CODEX_HOME=\/var\/lib\/codex-sidecar-two\/codex;/);
  machine.write('/var/lib/codex-sidecar-two/codex/config.toml', config());
  await machine.runAlong('systemctl', 'reload', TWO);
  login('/var/lib/codex-sidecar-two/codex', 'sk-upstream-two');
  await isReady(TWO);
  await serves('the second');
  assert.equal(provider.requests.at(-1).headers.authorization, 'Bearer sk-upstream-two');
  machine.run('systemctl', 'stop', TWO);
  assert.deepEqual(ours(), []);
  for (const name of ['codex-sidecar', 'codex-sidecar-two']) assert.equal(machine.exists(`/run/${name}`), false);
});

test("with the drop-in of docs/agent.md codex's sandbox runs: the workspace can be written to, our state cannot", needed, (t) => {
  const page = fs.readFileSync(new URL('../../docs/agent.md', import.meta.url), 'utf8');
  const [, dropIn] = /```ini\n(\[Service\]\n[^`]*ReadWritePaths=[^`]*)```/.exec(page);
  const command = 'echo in the sandbox; touch mine && echo written; touch $STATE_DIRECTORY/theirs || echo refused';
  const probe = machine.run('cat', `/lib/systemd/system/${UNIT}`)
    .replace(/^ExecStart=.*$/m, `WorkingDirectory=/srv/workspace\nExecStart=/usr/local/bin/codex sandbox -c sandbox_mode=\\"workspace-write\\" -- /bin/sh -c "${command}"`)
    .replace(/^StateDirectory=.*$/m, 'StateDirectory=codex-sidecar')
    .replace(/^(ExecReload|Restart|RestartSec|WatchdogSec|OOMPolicy|NotifyAccess|RestartPreventExitStatus)=.*\n/gm, '')
    .replace('Type=notify', 'Type=oneshot')
    .replace(/^TimeoutStartSec=.*$/m, 'TimeoutStartSec=20');
  machine.write('/etc/systemd/system/sandbox-probe.service', probe);
  machine.run('install', '-d', '-o', 'codex-sidecar', '/srv/workspace');
  const said = () => {
    machine.run('systemctl', 'daemon-reload');
    machine.tryRun('systemctl', 'start', 'sandbox-probe.service');
    return machine.run('journalctl', '-u', 'sandbox-probe', '-o', 'cat', '--no-pager');
  };
  assert.doesNotMatch(said(), /^in the sandbox$/m, 'not without it');
  machine.write('/etc/systemd/system/sandbox-probe.service.d/agent.conf', dropIn);
  assert.match(said(), /^in the sandbox\nwritten\n[^\n]*Read-only file system\nrefused$/m);
  const text = machine.run('systemd-analyze', 'security', '--no-pager', 'sandbox-probe.service');
  t.diagnostic(`exposure with it: ${/Overall exposure level for \S+: ([\d.]+)/.exec(text)[1]}`);
});

test('without codex the start fails at once, with the line that helps; an update restarts instances too; apt purge leaves nothing', needed, async () => {
  machine.write('/etc/codex-sidecar/codex-sidecar.env', 'CODEX_BIN=/nowhere/codex\n');
  assert.notEqual(machine.tryRun('systemctl', 'start', UNIT).status, 0);
  assert.equal(machine.show(UNIT, 'ExecMainStatus'), '78');
  assert.match(machine.journal(), /CODEX_BIN: .*\/nowhere\/codex/);

  machine.run('systemctl', 'enable', '--now', TWO, 'codex-auth-check.timer');
  const before = ours().map((p) => p.pid);
  apt('install', '--reinstall', '/usr/local/codex-sidecar.deb'); // as an update does it
  await until(() => machine.show(TWO, 'ActiveState') === 'active' && ours().length === 3, 'the instance to be there again');
  assert.deepEqual(ours().filter((p) => before.includes(p.pid)), [], 'as what is installed now');

  apt('purge', 'codex-sidecar');
  const left = machine.run('find', '/etc', '/usr', '/var/lib', '/run', '-xdev', '-path', '/usr/local', '-prune', '-o', '-name', '*codex*', '-print')
    .split('\n').filter((name) => name && !name.startsWith('/etc/systemd/system/codex-sidecar.service.d'));
  assert.deepEqual(left, []);
  assert.doesNotMatch(machine.run('systemctl', 'list-timers', '--all', '--no-pager'), /codex/);
  assert.deepEqual(ours(), []);
});
