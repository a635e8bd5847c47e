// The alert rules and the dashboard in units/monitoring: Prometheus can read them, they fire when they
// have to, and what they ask for is what the proxy tells.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import YAML from 'yaml';
import { ask, chat } from './http_kit.mjs';
import { lone } from './pair_kit.mjs';
import { buildDir, onPath, until } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../..');
const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8');
const rulesFile = path.join(root, 'units/monitoring/alerts.yaml');
const testsFile = path.join(here, 'alerts.test.yaml');

// No program of ours says anything new here under a sanitizer.
const once = /\/san$/.test(buildDir) ? { skip: 'done without sanitizers already' } : {};
const withPromtool = onPath('promtool') ? once : { skip: 'no promtool: the Debian package prometheus has it' };

const rules = YAML.parse(read('units/monitoring/alerts.yaml')).groups.flatMap((g) => g.rules);
const dashboard = JSON.parse(read('units/monitoring/dashboard.json'));
const panels = dashboard.panels.filter((p) => p.type !== 'row');
const queries = panels.flatMap((p) => p.targets.map((t) => ({ where: p.title, expr: t.expr })));
const everywhere = [...rules.map((r) => ({ where: r.alert, expr: r.expr })), ...queries];

// The table of docs/metrics.md: {name: {type, labels}}.
const documented = Object.fromEntries(read('docs/metrics.md').split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, , type]) => /^(gauge|counter|histogram)$/.test(type))
  .flatMap(([, names, type, labels]) => names.match(/\w+/g).map((name) =>
    [`codex_sidecar_${name}`, { type, labels: labels.match(/\w+/g) ?? [] }])));

// {name, labels, values} of each metric in an expression.
function selectors(expr) {
  return [...expr.matchAll(/(codex_sidecar_\w+)(?:\{([^}]*)\})?/g)].map(([, name, inside = '']) => {
    const matchers = [...inside.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)];
    return { name, labels: matchers.map((m) => m[1]), exact: matchers.filter((m) => m[2] === '=') };
  });
}

const family = (name) => (name in documented ? name : name.replace(/_(bucket|sum|count)$/, ''));

function promtool(...args) {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}

test('Prometheus reads the alert rules', withPromtool, () => promtool('check', 'rules', rulesFile));

test('each alert fires when it has to, and does not when it must not', withPromtool, () => {
  promtool('test', 'rules', testsFile);
  const tried = YAML.parse(fs.readFileSync(testsFile, 'utf8')).tests.flatMap((t) => t.alert_rule_test);
  for (const { alert } of rules) {
    const of = tried.filter((t) => t.alertname === alert);
    assert.ok(of.some((t) => t.exp_alerts.length > 0), `${alert} fires in no test`);
    assert.ok(of.some((t) => t.exp_alerts.length === 0), `${alert} is silent in no test`);
  }
});

test('Prometheus understands each query of the dashboard', withPromtool, () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dashboard-'));
  try {
    const asRules = queries.map(({ expr }, i) => ({
      record: `query:${i}`, expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    const file = path.join(dir, 'queries.yaml');
    fs.writeFileSync(file, YAML.stringify({ groups: [{ name: 'dashboard', rules: asRules }] }));
    promtool('check', 'rules', file);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

test('rules and dashboard ask for metrics and labels that are documented, and the dashboard for all', once, () => {
  const asked = new Set();
  for (const { where, expr } of everywhere)
    for (const { name, labels } of selectors(expr)) {
      const known = documented[family(name)];
      assert.ok(known, `${where}: ${name}`);
      assert.equal(known.type === 'histogram', name !== family(name), `${where}: ${name} is a ${known.type}`);
      if (known.type !== 'gauge') assert.match(expr, new RegExp(`(rate|increase)\\(${name}\\b`), where);
      for (const label of labels)
        assert.ok(['job', 'instance', 'le', ...known.labels].includes(label), `${where}: ${name} has no ${label}`);
    }
  for (const { expr } of queries) for (const { name } of selectors(expr)) asked.add(family(name));
  assert.deepEqual(Object.keys(documented).filter((name) => !asked.has(name)), [], 'in no panel');
});

// What is there only with a supervisor, a login that ends, or an account with limits.
const sometimes = /_(login_expires_timestamp_seconds|account_rate_limit_\w+|(backend|proxy)_restarts_total)$/;

test('the proxy tells what rules and dashboard ask for', once, async (t) => {
  const f = await lone(t);
  assert.equal((await chat(f.port, '!say 3 0 t')).status, 200);
  const text = await until(async () => {
    const page = await ask(f.port, { path: '/metrics', key: null });
    return page.text.includes('time_to_first_token_seconds_count') && page.text.includes('outcome="stop"') && page.text;
  }, 'the request to be counted');
  const told = new Set(text.match(/^codex_sidecar_\w+/gm));
  for (const { where, expr } of everywhere)
    for (const { name, exact } of selectors(expr)) {
      if (sometimes.test(name)) continue;
      assert.ok(told.has(name), `${where}: ${name}`);
      for (const [matcher, label, , value] of exact.filter((m) => m[1] === 'state'))
        assert.match(text, new RegExp(`${name}\\{[^}]*${label}="${value}"`), `${where}: ${matcher}`);
    }
});

test('the dashboard can be imported anywhere: its data source is a variable, its panels have their place', once, () => {
  assert.equal(dashboard.id, null);
  assert.ok(dashboard.uid && dashboard.title);
  const [source] = dashboard.templating.list;
  assert.deepEqual([source.name, source.type, source.query], ['datasource', 'datasource', 'prometheus']);
  const uids = [...JSON.stringify(dashboard).matchAll(/"datasource":\{"type":"(\w+)","uid":"([^"]*)"\}/g)];
  assert.ok(uids.length > panels.length);
  for (const [, type, uid] of uids) assert.deepEqual([type, uid], ['prometheus', '${datasource}']);
  assert.equal(new Set(dashboard.panels.map((p) => p.id)).size, dashboard.panels.length);
  const taken = new Map();
  for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
    assert.ok(x + w <= 24, title);
    for (let i = x; i < x + w; i++)
      for (let k = y; k < y + h; k++) {
        assert.ok(!taken.has(`${i} ${k}`), `${title} lies on ${taken.get(`${i} ${k}`)}`);
        taken.set(`${i} ${k}`, title);
      }
  }
});
