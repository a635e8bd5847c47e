// Man pages and completions know every command and every option that --help tells.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { buildDir } from './supervisor_kit.mjs';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8');
const unique = (list) => [...new Set(list)];

const help = (program) => execFileSync(path.join(buildDir, program), ['--help'], { encoding: 'utf8' });
const optionsOf = (program) => unique(help(program).match(/(?<![\w-])--[a-z][a-z-]*/g));

// The first words of the indented lines before the first option: "start, stop, restart APP".
function commandsOf(program) {
  const text = help(program);
  const found = [];
  for (const [, words] of text.matchAll(/^ {2}((?:[a-z]+)(?:, [a-z]+)*)(?= |$)/gm)) found.push(...words.split(', '));
  return unique(found);
}

// As a page has them: `.Fl -json` is --json, `.Cm run` is run.
const pageHasOption = (page, option) =>
  new RegExp(`(Fl |[,|] )-${option.slice(2)}(?![\\w-])`, 'm').test(page);

const programs = ['codex-supervisor', 'codex-proxy', 'codex-healthcheck'];

for (const program of programs) {
  test(`the page of ${program} has all its options and commands, and no other option`, () => {
    const page = read('docs', 'man', `${program}.1`);
    const options = optionsOf(program);
    assert.ok(options.length >= 3 || program === 'codex-supervisor', options.join());
    for (const option of options) assert.ok(pageHasOption(page, option), option);
    const told = unique([...page.matchAll(/Fl -([a-z-]+)|(?<=^\.Fl .*, )-([a-z-]+)/gm)].map((m) => `--${m[1] ?? m[2]}`));
    for (const option of told) assert.ok(options.includes(option), `${option} is in the page only`);
    if (program === 'codex-proxy') return;
    const commands = commandsOf(program);
    assert.ok(commands.length >= 5, commands.join());
    for (const command of commands)
      assert.match(page, new RegExp(`^\\.It Cm .*\\b${command}\\b`, 'm'), command);
  });
}

for (const program of ['codex-supervisor', 'codex-healthcheck']) {
  test(`the completions of ${program} have all its options and commands`, () => {
    const bash = read('units', 'completions', `${program}.bash`);
    const zsh = read('units', 'completions', `_${program}`);
    const fish = read('units', 'completions', `${program}.fish`);
    for (const option of optionsOf(program)) {
      assert.match(bash, new RegExp(`${option}(?![\\w-])`), option);
      assert.match(zsh, new RegExp(`${option}\\[`), option);
      assert.match(fish, new RegExp(` -l ${option.slice(2)}(?![\\w-])`), option);
    }
    for (const command of commandsOf(program)) {
      for (const [shell, text] of Object.entries({ bash, zsh, fish }))
        assert.match(text, new RegExp(`(^|[^\\w-])${command}([^\\w-]|$)`, 'm'), `${command} in ${shell}`);
    }
  });
}

// What bash offers for the last of the words.
function complete(program, ...words) {
  const script = `
    compopt() { :; }
    . "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    ${`_${program.replace('-', '_')}`}
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const file = path.join(root, 'units', 'completions', `${program}.bash`);
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, 'bash', file, program, ...words], {
    encoding: 'utf8',
    env: { PATH: `${buildDir}:${process.env.PATH}`, CODEX_CONTROL_SOCKET: '/none/control.sock' },
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter(Boolean).map((word) => word.trim());
}

test('bash completes commands, options and apps', () => {
  assert.deepEqual(complete('codex-supervisor', 'st'), ['status', 'start', 'stop']);
  assert.deepEqual(complete('codex-supervisor', 'status', '--'), ['--socket', '--json', '--exit-code', '--watch']);
  assert.deepEqual(complete('codex-supervisor', '--socket', '/x', 'drain', '--d'), ['--deadline']);
  assert.deepEqual(complete('codex-supervisor', 'restart', ''), ['all', 'app-server', 'proxy']);
  assert.deepEqual(complete('codex-supervisor', 'restart', '--no-wait', 'p'), ['proxy']);
  assert.deepEqual(complete('codex-supervisor', 'shutdown', ''), []);
  assert.deepEqual(complete('codex-healthcheck', 's'), ['startup', 'status']);
  assert.deepEqual(complete('codex-healthcheck', 'auth', '--format', ''), ['discord', 'slack', 'json']);
  assert.deepEqual(complete('codex-healthcheck', 'auth', '--w'), ['--warn-hours']);
});

test('make install puts all of them where they are looked for, and the pages can be read', (t) => {
  const prefix = fs.mkdtempSync(path.join(os.tmpdir(), 'prefix-'));
  t.after(() => fs.rmSync(prefix, { recursive: true, force: true }));
  const flavour = path.relative(path.join(root, 'build'), buildDir);
  execFileSync('make', ['-s', '-C', root, 'install', `PREFIX=${prefix}`, `FLAVOUR=${flavour}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const share = path.join(prefix, 'share');
  const pages = [...programs.map((name) => `man1/${name}.1`), 'man5/codex-ecosystem.5'].map((name) => path.join(share, 'man', name));
  const files = ['codex-supervisor', 'codex-healthcheck'].flatMap((name) => [
    `bash-completion/completions/${name}`, `zsh/site-functions/_${name}`, `fish/vendor_completions.d/${name}.fish`,
  ]);
  for (const file of [...pages, ...files.map((name) => path.join(share, name))]) assert.ok(fs.statSync(file).size > 500, file);
  // every key of the file is in its page: that is made of docs/ecosystem.md
  const ecosystem = fs.readFileSync(pages.at(-1), 'utf8');
  const keys = [...read('docs', 'ecosystem.md').matchAll(/^\| `(\w+)`/gm)].map((m) => m[1]);
  assert.ok(keys.length > 30);
  for (const key of keys) assert.match(ecosystem, new RegExp(`^\\.TP\\n\\\\fB${key}\\\\fR`, 'm'), key);
  if (spawnSync('mandoc', ['-T', 'lint', '/dev/null']).error) {
    t.diagnostic('mandoc is not here: the pages have not been read');
    return;
  }
  const { status, stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...pages], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});
