// The shipped pod, for real: the image built from our Containerfile, and units/kubernetes/pod.yaml
// played by podman, with the real codex and a provider of ours.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { API_KEY, chat, stream } from './http_kit.mjs';
import { debianFolder, whyNoContainer } from './nspawn_kit.mjs';
import { Provider } from './pair_kit.mjs';
import { buildDir, endsWithUs, freePort, needsCodex, realCodex, until, withDeadline } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const repository = path.resolve(here, '../..');
const manifest = fs.readFileSync(path.join(repository, 'units/kubernetes/pod.yaml'), 'utf8');
const [, version] = /image: codex-sidecar:(\S+)/.exec(manifest);
const [, appImage] = /image: (curl\S+)/.exec(manifest);
const SIDECAR = 'app-with-codex-codex-sidecar';
const APP = 'app-with-codex-app';
const BUILD_MS = 300000; // an image of 500 MB, on a slow disk

function whyNot() {
  const why = whyNoContainer();
  if (why) return why;
  const missing = ['podman', 'runc', 'catatonit'].filter((name) => spawnSync('which', [name]).status !== 0);
  return missing.length > 0 ? `no ${missing.join(', no ')} (scripts/install-deps test)` : undefined;
}
const why = whyNot();
const needed = why ? { skip: why } : needsCodex;

let root;
let provider;
let port;

// Nothing of this machine's own podman is used or changed.
const environment = () => ({
  ...process.env,
  CONTAINERS_CONF: path.join(root, 'containers.conf'),
  CONTAINERS_REGISTRIES_CONF: path.join(root, 'registries.conf'),
  CONTAINERS_STORAGE_CONF: path.join(root, 'storage.conf'),
  CODEX_BIN: realCodex,
});

function podman(...args) {
  const { status, stdout, stderr } = spawnSync('podman', args, { env: environment(), encoding: 'utf8', timeout: 120000 });
  if (status !== 0) throw new Error(`podman ${args.join(' ')}: ${status}\n${stdout}${stderr}`);
  return stdout;
}

// While this process goes on, since it is the one that serves.
async function run(command, args, input) {
  const child = endsWithUs(spawn(command, args, { env: environment(), cwd: repository, stdio: ['pipe', 'pipe', 'pipe'] }));
  let text = '';
  for (const out of [child.stdout, child.stderr]) out.on('data', (data) => (text = (text + data).slice(-20000)));
  if (input) input.pipe(child.stdin);
  else child.stdin.end();
  const [code] = await withDeadline(once(child, 'close'), `${command} ${args.join(' ')}`, BUILD_MS);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${text}`);
  return text;
}

// A Debian as the base, and as the application's image: it has curl.
async function buildImages() {
  const tar = endsWithUs(spawn('tar', ['-C', await debianFolder(), '-c', '.'], { stdio: ['ignore', 'pipe', 'ignore'] }));
  const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  await run('podman', ['import', '--change', `ENV ${PATH}`, '-', 'localhost/debian:12-slim'], tar.stdout);
  podman('tag', 'localhost/debian:12-slim', `localhost/${appImage}`);
  await run('scripts/build-image', [version, path.relative(repository, buildDir), '--isolation=chroot', '--network=host',
    '--build-arg', 'BASE=localhost/debian:12-slim']);
}

// podman 4 gives a Secret's data as they are, and not what they are the base64 of.
function secret(name, data) {
  const file = path.join(root, name);
  fs.writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, data }));
  podman('secret', 'create', name, file);
}

// podman 4.3 may look at the init container before it knows that this one has ended, and gives up.
async function play(file, tries = 3) {
  try {
    await run('podman', ['play', 'kube', '--network=host', file]);
  } catch (error) {
    if (tries === 1 || !/once init container/.test(error.message)) throw error;
    podman('pod', 'rm', '--all', '--force', '--time', '1');
    await play(file, tries - 1);
  }
}

const status = () => JSON.parse(podman('exec', SIDECAR, 'codex-supervisor', 'status', '--json'));

before(async () => {
  if (needed.skip) return;
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'pod-'));
  fs.writeFileSync(path.join(root, 'containers.conf'), `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
pids_limit = 0
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`);
  fs.writeFileSync(path.join(root, 'registries.conf'), 'unqualified-search-registries = []\nshort-name-mode = "disabled"\n');
  fs.writeFileSync(path.join(root, 'storage.conf'), `[storage]
driver = "overlay"
graphroot = "${root}/storage"
runroot = "${root}/run"
`);
  provider = await Provider.start();
  port = await freePort();
  await buildImages();
});

after(async () => {
  await provider?.stop();
  if (!root) return;
  spawnSync('podman', ['pod', 'rm', '--all', '--force', '--time', '1'], { env: environment() });
  spawnSync('podman', ['system', 'reset', '--force'], { env: environment() });
  spawnSync('rm', ['-rf', '--one-file-system', root]);
});

test('the pod starts, and its application gets an answer over localhost', needed, async () => {
  secret('codex-sidecar-keys', { 'api-key': `${API_KEY}\n` });
  secret('codex-sidecar-login', {
    'auth.json': '{"OPENAI_API_KEY": "sk-of-the-test"}',
    'config.toml': provider.toml.replace(/^env_key.*\n/m, ''),
  });
  const key = '        - {name: CODEX_PROXY_API_KEY_FILE, value: /keys/api-key}\n';
  assert.ok(manifest.includes(key));
  const yaml = manifest
    .replaceAll('127.0.0.1:3460', `127.0.0.1:${port}`)
    .replace(key, `${key}        - {name: CODEX_PROXY_PORT, value: "${port}"}\n`);
  fs.writeFileSync(path.join(root, 'pod.yaml'), yaml);
  await play(path.join(root, 'pod.yaml'));
  await until(() => /"object": ?"chat.completion"/.test(podman('logs', APP)), 'an answer in the application\'s log', 60000);
});

test('it runs as nobody, on a root that it cannot write to', needed, () => {
  assert.equal(podman('exec', SIDECAR, 'id', '-u').trim(), '65532');
  assert.throws(() => podman('exec', SIDECAR, 'touch', '/usr/bin/x'), /Read-only file system/);
});

test('the probes of the manifest are answered', needed, () => {
  podman('healthcheck', 'run', SIDECAR); // livenessProbe
  for (const check of ['startup', 'ready', 'live']) podman('exec', SIDECAR, 'codex-healthcheck', check);
});

test('codex killed in there is back by itself', needed, async () => {
  const { pid } = status().apps.find((a) => a.name === 'app-server-0');
  podman('exec', SIDECAR, 'sh', '-c', `kill -9 ${pid}`);
  await until(() => {
    const { apps, ready } = status();
    const [codex] = apps;
    return ready && codex.state === 'ready' && codex.pid !== pid && codex.restarts === 1;
  }, 'another codex to be ready');
  const answer = await chat(port, '!say 1 1 again');
  assert.equal(answer.status, 200, JSON.stringify(answer.json));
});

test('the pod stops within its grace period, and what was under way ends well', needed, async () => {
  const running = stream(port, '!say 40 100 tok');
  await running.text('tok0');
  const begin = Date.now();
  const stopped = run('podman', ['pod', 'stop', '--time', '60', 'app-with-codex']);
  assert.equal(await running.end(), 'whole');
  await stopped;
  assert.match(running.content, /tok39/);
  assert.equal(running.events.all.at(-1).data, '[DONE]');
  assert.ok(Date.now() - begin < 45000, `${Date.now() - begin} ms`);
  const [{ State }] = JSON.parse(podman('inspect', SIDECAR));
  assert.equal(State.ExitCode, 0);
});
