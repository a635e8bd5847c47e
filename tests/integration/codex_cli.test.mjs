// The Codex CLI itself, with this server as its model provider: it sends its own tools, and what the
// model calls runs on the user's side. The app-server behind us is another codex.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { API_KEY } from './http_kit.mjs';
import { Pair } from './pair_kit.mjs';
import { Program } from './program.mjs';
import { needsCodex, realCodex, withDeadline } from './supervisor_kit.mjs';

// As docs/responses.md tells its users.
const toml = (port) => `model_provider = "sidecar"
web_search = "disabled"
[model_providers.sidecar]
name = "sidecar"
base_url = "http://127.0.0.1:${port}/v1"
wire_api = "responses"
env_key = "SIDECAR_KEY"
`;

describe('the Codex CLI as a client', needsCodex, () => {
  let p, root;
  before(async () => {
    p = await Pair.start();
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'codex-cli-'));
    for (const name of ['home', 'work', 'bare']) fs.mkdirSync(path.join(root, name));
    fs.writeFileSync(path.join(root, 'home/config.toml'), toml(p.port));
    fs.writeFileSync(path.join(root, 'bare/config.toml'), toml(p.port).replace(/^web_search.*\n/m, ''));
  });
  after(async () => {
    await p?.stop();
    if (root) fs.rmSync(root, { recursive: true, force: true });
  });

  const made = (name) => fs.readFileSync(path.join(root, 'work', name), 'utf8');

  // `codex exec` to its end: {code, out}.
  async function exec(model, said, home = 'home') {
    const args = ['exec', '--json', '-m', model, '-C', path.join(root, 'work'), '--skip-git-repo-check'];
    const cli = new Program(realCodex, [...args, '--sandbox', 'danger-full-access', said], {
      env: { PATH: process.env.PATH, HOME: root, CODEX_HOME: path.join(root, home), SIDECAR_KEY: API_KEY },
    });
    const { code } = await withDeadline(cli.exited, 'the end of codex exec').finally(() => cli.kill());
    return { code, out: cli.out.all.map((l) => l.text).join('\n') };
  }

  test('a shell command, its output, and an answer', async () => {
    const said = '!reason hm\n!tool exec_command {"cmd":"echo by-$((40+2)) > shell.txt; cat shell.txt"}';
    const { code, out } = await exec('gpt-5.5', said);
    assert.equal(code, 0, out);
    assert.equal(made('shell.txt'), 'by-42\n');
    assert.match(out, /The tool said: .*by-42/);
    const [first, second] = p.provider.requests.slice(-2).map((r) => r.body);
    // codex would hide it from the model, were it in no namespace
    const offered = first.tools.find((tool) => tool.name === 'client_tools').tools;
    assert.deepEqual(offered.map((tool) => tool.name), ['exec_command']);
    assert.equal(second.input.at(-2).namespace, 'client_tools');
    assert.deepEqual(second.input.slice(-3).map((item) => item.type), ['reasoning', 'function_call', 'function_call_output']);
    assert.equal(second.input.at(-3).encrypted_content, 'c2VjcmV0');
  });

  test('a patch, by its free-form tool', async () => {
    const patch = JSON.stringify({ input: '*** Begin Patch\n*** Add File: patch.txt\n+patched\n*** End Patch\n' });
    const { code, out } = await exec('gpt-5.5', `!tool apply_patch ${patch}`);
    assert.equal(code, 0, out);
    assert.equal(made('patch.txt'), 'patched\n');
  });

  test('a script, for a model that has its tools in namespaces', async () => {
    const script = JSON.stringify({ input: 'const r = await tools.exec_command({ cmd: "echo by-script > script.txt" }); text(r.output);' });
    const { code, out } = await exec('gpt-6.1-sol', `!tool exec ${script}`);
    assert.equal(code, 0, out);
    assert.equal(made('script.txt'), 'by-script\n');
    const [{ input: [{ tools }] }] = p.provider.requests.slice(-1).map((r) => r.body);
    assert.ok(tools.length > 1 && tools.every((tool) => tool.type === 'namespace'));
  });

  test('without web_search = "disabled" it is told what is not available', async () => {
    const { code, out } = await exec('gpt-5.5', 'hello', 'bare');
    assert.notEqual(code, 0);
    assert.match(out, /web_search/);
  });

  test('a conversation that is too long is told as such', async () => {
    const { code, out } = await exec('gpt-5.5', '!say 1 0 x\n!failed context_length_exceeded too long');
    assert.notEqual(code, 0);
    assert.match(out, /context window/);
  });

  test('afterwards nothing is left anywhere', () => p.assertIdle());
});
