// A Debian of its own, booted with systemd in a container: for what only a real init can show.
//
// It shares the network of this machine, so that a fake provider here serves what runs there. All
// that is written there is gone with it: the folder it is made of is made once, and kept in build/.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildDir, endsWithUs, realCodex, until, withDeadline } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const repository = path.resolve(here, '../..');
const CODENAME = 'bookworm'; // what our binaries were built on, and are linked with
const PACKAGES = [
  'systemd', 'systemd-sysv', 'libnss-systemd', 'libpam-systemd', 'dbus', 'libuv1', 'libjansson4',
  'libwebsockets17', 'libwebsockets-evlib-uv', 'libwslay1', 'libhttp-parser2.9', 'libcurl4', 'curl', 'ca-certificates',
];
const BOOTSTRAP_MS = 300000; // some 60 MB of packages
const BOOT_MS = 60000;
const POWEROFF = 37; // SIGRTMIN+3, systemd(1)

const isRoot = () => process.getuid() === 0;
const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

function release() {
  return /^VERSION_CODENAME=(.*)$/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1];
}

// Why it cannot be done here, for the `skip` of a test; undefined: it can.
export function whyNoContainer() {
  if (/\/san$/.test(buildDir)) return 'not with sanitizers: the container has none of their libraries';
  if (!isRoot()) return 'only root can boot a container';
  if (release() !== CODENAME) return `this is no Debian ${CODENAME}: the container is, and could not run our binaries`;
  const missing = ['systemd-nspawn', 'mmdebstrap'].filter((program) => !has(program));
  if (missing.length > 0) return `no ${missing.join(', no ')} (scripts/install-deps test)`;
  const probe = spawnSync('unshare', ['--mount', '--pid', '--fork', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { encoding: 'utf8' });
  if (probe.status !== 0) return `no right to mount here: ${probe.stderr.trim()}`;
  try {
    fs.accessSync('/sys/fs/cgroup', fs.constants.W_OK);
  } catch {
    return '/sys/fs/cgroup is read-only';
  }
  return undefined;
}

// --- the folder ------------------------------------------------------------------------------

// The source that this machine installs its own packages from.
function source() {
  const format = '$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(SIGNED_BY)';
  const lines = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], { encoding: 'utf8' });
  for (const line of lines.split('\n')) {
    const [uri, suite, component, signedBy] = line.split('\t');
    if (suite !== CODENAME || component !== 'main') continue;
    return `deb ${signedBy?.startsWith('/') ? `[signed-by=${signedBy}] ` : ''}${uri} ${CODENAME} main`;
  }
  throw new Error(`apt has no source for ${CODENAME} main`);
}

async function makeFolder(folder) {
  const part = `${folder}.${process.pid}`;
  const args = [
    '--mode=root', '--variant=apt', `--include=${PACKAGES.join(',')}`,
    ...['man', 'doc', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    CODENAME, part, source(),
  ];
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  // It mounts this machine's /proc and /dev in there: where nobody else sees them, and they end with it.
  const alone = ['--mount', '--propagation', 'private', '--', 'mmdebstrap', ...args];
  const child = endsWithUs(spawn('unshare', alone, { stdio: ['ignore', 'ignore', 'pipe'] }));
  let log = '';
  child.stderr.on('data', (data) => (log += data));
  const [code] = await withDeadline(once(child, 'close'), `a Debian to be made:\n${log}`, BOOTSTRAP_MS);
  try {
    assert.equal(code, 0, log);
    if (!fs.existsSync(folder)) fs.renameSync(part, folder);
  } finally {
    spawnSync('rm', ['-rf', '--one-file-system', part]);
  }
}

export async function debianFolder() {
  const name = Buffer.from(PACKAGES.join()).reduce((sum, byte) => (sum * 31 + byte) % 0xffffff, 7).toString(16);
  const folder = path.join(repository, 'build', `debian-${CODENAME}-${name}`);
  if (!fs.existsSync(folder)) await makeFolder(folder);
  return folder;
}

// --- what goes in ----------------------------------------------------------------------------

// The native program behind npm's launcher script, or the program itself.
function nativeCodex() {
  const real = fs.realpathSync(realCodex);
  if (!real.endsWith('.js')) return real;
  const scope = path.resolve(path.dirname(real), '../..');
  for (const name of fs.readdirSync(scope)) {
    const vendor = path.join(scope, name, 'vendor');
    for (const target of fs.existsSync(vendor) ? fs.readdirSync(vendor) : []) {
      const file = path.join(vendor, target, 'bin', 'codex');
      if (fs.existsSync(file)) return file;
    }
  }
  throw new Error(`no native codex beside ${real}`);
}

function make(...words) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const build = path.relative(repository, buildDir);
  const out = spawnSync('make', ['-s', '-C', repository, `O=${build}`, ...words], { env, encoding: 'utf8' });
  assert.equal(out.status, 0, out.stdout + out.stderr);
  return out.stdout;
}

// As `make install` puts it, below a folder.
function install(folder) {
  make(`DESTDIR=${folder}`, 'install');
}

// Only the package of `make deb` (or of SIDECAR_DEB), as /usr/local/codex-sidecar.deb, and codex on PATH.
export function installPackage(folder) {
  const file = process.env.SIDECAR_DEB ?? make('deb').trim().split('\n').at(-1);
  fs.mkdirSync(path.join(folder, 'usr/local/bin'), { recursive: true });
  fs.copyFileSync(path.resolve(repository, file), path.join(folder, 'usr/local/codex-sidecar.deb'));
  fs.symlinkSync('/opt/codex/bin/codex', path.join(folder, 'usr/local/bin/codex'));
}

// A control group of its own, below ours, in each hierarchy that systemd uses: two containers in the
// same one would take each other's units for their own.
function makeGroups(name) {
  const ours = fs.readFileSync('/proc/self/cgroup', 'utf8');
  const hierarchies = [
    ['/sys/fs/cgroup', /^0::(.*)$/m], ['/sys/fs/cgroup/unified', /^0::(.*)$/m], ['/sys/fs/cgroup/systemd', /:name=systemd:(.*)$/m],
  ];
  return hierarchies
    .filter(([root, line]) => fs.existsSync(`${root}/cgroup.procs`) && line.test(ours))
    .map(([root, line]) => {
      const group = path.join(root, line.exec(ours)[1], name);
      fs.mkdirSync(group);
      return group;
    });
}

// --- the container ---------------------------------------------------------------------------

function childrenOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // gone
  }
}

function isInit(pid) {
  try {
    return /^NSpid:.*\t1$/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

export class Container {
  // With codex, and what put() puts below /usr/local of a folder: what `make install` installs.
  // files: path in the container -> content.
  static async boot({ files = {}, put = install } = {}) {
    const c = new Container();
    c.stage = fs.mkdtempSync(path.join(os.tmpdir(), 'container-'));
    c.name = path.basename(c.stage);
    try {
      const folder = await debianFolder();
      put(c.stage);
      c.start(folder);
      await c.booted();
      for (const [name, content] of Object.entries(files)) c.write(name, content);
    } catch (error) {
      await c.dispose();
      throw error;
    }
    return c;
  }

  start(folder) {
    const args = [
      '--quiet', `--machine=${this.name}`, '-D', folder, '--volatile=overlay', '--boot',
      '--register=no', '--keep-unit', '--console=pipe', '--kill-signal=SIGRTMIN+3',
      `--bind-ro=${this.stage}/usr/local:/usr/local`,
      `--bind-ro=${path.dirname(path.dirname(nativeCodex()))}:/opt/codex`,
    ];
    this.console = '';
    this.groups = makeGroups(this.name);
    const enter = 'for group in $0; do echo $$ >"$group/cgroup.procs" || exit 1; done; exec systemd-nspawn "$@"';
    this.process = endsWithUs(spawn('sh', ['-c', enter, this.groups.join(' '), ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
    for (const stream of [this.process.stdout, this.process.stderr])
      stream.on('data', (data) => (this.console = (this.console + data).slice(-20000)));
    this.exited = once(this.process, 'close');
    this.exited.catch(() => {});
  }

  async booted() {
    const isUp = () => {
      if (this.process.exitCode !== null) throw new Error(`the container ended:\n${this.console}`);
      this.init ??= childrenOf(this.process.pid).find(isInit);
      return this.init && /running|degraded/.test(this.tryRun('systemctl', 'is-system-running').stdout);
    };
    await until(isUp, 'systemd to be up in the container', BOOT_MS).catch((error) => {
      error.message += `\n${this.console}`;
      throw error;
    });
  }

  // {status, stdout, stderr} of a command in there.
  tryRun(...words) {
    const enter = ['-t', String(this.init), '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w', '--'];
    return spawnSync('nsenter', [...enter, ...words], {
      encoding: 'utf8',
      timeout: 120000,
      env: { PATH: '/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin', LANG: 'C.UTF-8', SYSTEMD_PAGER: '' },
    });
  }

  // Its stdout; it has to end well.
  run(...words) {
    const { status, stdout, stderr } = this.tryRun(...words);
    if (status !== 0) throw new Error(`${words.join(' ')}: ${status}\n${stdout}${stderr}\n${this.journal()}`);
    return stdout;
  }

  // The same, while this process goes on.
  async runAlong(...words) {
    const enter = ['-t', String(this.init), '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w', '--'];
    const child = endsWithUs(spawn('nsenter', [...enter, ...words], { stdio: ['ignore', 'pipe', 'pipe'] }));
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    const [code] = await withDeadline(once(child, 'close'), words.join(' '), 120000);
    if (code !== 0) throw new Error(`${words.join(' ')}: ${code}\n${text}\n${this.journal()}`);
    return text;
  }

  journal() {
    return this.tryRun('journalctl', '--no-pager', '-n', '80', '-o', 'cat').stdout;
  }

  // A property of a unit, as `systemctl show` knows it.
  show(unit, property) {
    return this.run('systemctl', 'show', '--value', '-p', property, unit).trim();
  }

  write(name, content) {
    const file = `/proc/${this.init}/root${name}`;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }

  exists(name) {
    return fs.existsSync(`/proc/${this.init}/root${name}`);
  }

  // What runs in there: [{pid, inner, name}]; pid as this machine counts, inner as the container does.
  processes() {
    const found = [];
    const below = [this.init];
    for (let pid; (pid = below.pop()) !== undefined; ) {
      below.push(...childrenOf(pid));
      try {
        const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
        const inner = Number(/^NSpid:.*\t(\d+)$/m.exec(status)[1]);
        found.push({ pid, inner, name: /^Name:\t(.*)$/m.exec(status)[1] });
      } catch {
        // gone meanwhile
      }
    }
    return found;
  }

  async dispose() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) {
      if (this.init) spawnSync('kill', [`-${POWEROFF}`, String(this.init)]);
      else this.process.kill('SIGKILL');
      await withDeadline(this.exited, 'the container to end').catch(async () => {
        this.process.kill('SIGKILL');
        await this.exited;
      });
    }
    for (const group of this.groups ?? []) spawnSync('find', [group, '-depth', '-type', 'd', '-delete']);
    fs.rmSync(this.stage, { recursive: true, force: true });
    fs.rmSync(`/run/systemd/nspawn/propagate/${this.name}`, { recursive: true, force: true });
  }
}
