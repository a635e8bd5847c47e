// The manifests in units/kubernetes: what Kubernetes would say to them, and what they promise.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import YAML from 'yaml';
import { buildDir } from './supervisor_kit.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const folder = path.resolve(here, '../../units/kubernetes');
const read = (name) => YAML.parseAllDocuments(fs.readFileSync(path.join(folder, name), 'utf8')).map((d) => d.toJS());

// No program of ours is run here: once is enough.
const slow = /\/san$/.test(buildDir) ? { skip: 'done without sanitizers already' } : {};

// Where the type of each kind of object is.
const MODULES = {
  'apps/v1 Deployment': 'kubernetes-models/apps/v1/Deployment',
  'autoscaling/v2 HorizontalPodAutoscaler': 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler',
  'monitoring.coreos.com/v1 ServiceMonitor': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor',
  'networking.k8s.io/v1 NetworkPolicy': 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy',
  'policy/v1 PodDisruptionBudget': 'kubernetes-models/policy/v1/PodDisruptionBudget',
  'v1 PersistentVolumeClaim': 'kubernetes-models/v1/PersistentVolumeClaim',
  'v1 Pod': 'kubernetes-models/v1/Pod',
  'v1 Secret': 'kubernetes-models/v1/Secret',
  'v1 Service': 'kubernetes-models/v1/Service',
};

const moduleOf = (object) => MODULES[`${object.apiVersion} ${object.kind}`];

// As the API server does: with its schema.
async function complaintOf(object) {
  const models = await import(moduleOf(object));
  const Model = models[object.kind] ?? models.default[object.kind];
  try {
    new Model(object).validate();
  } catch (error) {
    return error.message;
  }
  return undefined;
}

// And strictly, as `kubectl apply --validate=strict`: the type checker knows a field that there is not.
function strictComplaints(objects) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'manifests-'));
  try {
    fs.symlinkSync(path.resolve(here, '../node_modules'), path.join(dir, 'node_modules'));
    const lines = objects.map((object, i) => {
      const type = `I${object.kind}`;
      return `import type { ${type} as T${i} } from '${moduleOf(object)}';\nexport const o${i}: T${i} = ${JSON.stringify(object)};`;
    });
    fs.writeFileSync(path.join(dir, 'all.ts'), lines.join('\n'));
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    const { stdout, stderr } = spawnSync(process.execPath, [tsc, '--noEmit', '--strict', '--skipLibCheck', '--preserveSymlinks',
      '--module', 'nodenext', '--moduleResolution', 'nodenext', 'all.ts'], { cwd: dir, encoding: 'utf8' });
    return stdout + stderr;
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

const files = ['pod.yaml', 'secrets.example.yaml', 'overlays/sidecar/pod.yaml',
  ...['deployment', 'home', 'networkpolicy', 'service'].map((name) => `base/${name}.yaml`),
  ...['autoscaler', 'disruption', 'servicemonitor'].map((name) => `overlays/replicas/${name}.yaml`)];

function kustomize(name) {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', path.join(folder, name)], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /deprecated/i);
  return YAML.parseAllDocuments(stdout).map((d) => d.toJS());
}

// The one in kubectl 1.20, Debian 12's, is of before `patches`.
function whyNoKustomize() {
  const { status, stdout } = spawnSync('kubectl', ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
  if (status !== 0) return 'no kubectl';
  const { minor } = JSON.parse(stdout).clientVersion;
  return parseInt(minor, 10) >= 21 ? undefined : `kubectl 1.${minor} is too old`;
}
const noKustomize = slow.skip ?? whyNoKustomize();

test('each object is valid, to the schema and strictly', slow, async () => {
  const objects = files.flatMap(read);
  for (const object of objects) {
    assert.ok(moduleOf(object), `no schema for ${object.apiVersion} ${object.kind}`);
    assert.equal(await complaintOf(object), undefined, object.kind);
  }
  assert.equal(strictComplaints(objects), '');
  // the check itself: a word too many, a word too few
  const wrong = structuredClone(objects.find((o) => o.kind === 'Deployment'));
  wrong.spec.template.spec.containers[0].readynessProbe = {};
  assert.match(strictComplaints([wrong]), /readynessProbe/);
  delete wrong.spec.selector;
  assert.match(await complaintOf(wrong), /selector/);
});

test('the overlays build, and what they build is valid', { skip: noKustomize }, async () => {
  const kinds = {
    base: ['Deployment', 'NetworkPolicy', 'PersistentVolumeClaim', 'Service'],
    'overlays/sidecar': ['Pod'],
    'overlays/replicas': ['Deployment', 'HorizontalPodAutoscaler', 'NetworkPolicy', 'PodDisruptionBudget', 'Service', 'ServiceMonitor'],
  };
  const all = [];
  for (const [name, expected] of Object.entries(kinds)) {
    const objects = kustomize(name);
    assert.deepEqual(objects.map((o) => o.kind).sort(), expected);
    for (const object of objects) assert.equal(await complaintOf(object), undefined, `${name}: ${object.kind}`);
    all.push(...objects);
  }
  assert.equal(strictComplaints(all), '');
});

test('replicas share no login and keep none: they ask for an API key, and roll without a gap', { skip: noKustomize }, () => {
  const { spec } = kustomize('overlays/replicas').find((o) => o.kind === 'Deployment');
  const pod = spec.template.spec;
  const env = Object.fromEntries(pod.containers[0].env.map(({ name, value }) => [name, value]));
  assert.deepEqual(spec.strategy, { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
  assert.equal(env.CODEX_REQUIRE_API_KEY_LOGIN, '1');
  assert.equal(env.CODEX_PROXY_HOST, '0.0.0.0');
  assert.deepEqual(Object.keys(pod.volumes.find((v) => v.name === 'home')), ['emptyDir', 'name']);
});

const podsOf = (name) => read(name).map((o) => (o.kind === 'Pod' ? o.spec : o.spec.template.spec));
const ours = (pod) => [...(pod.initContainers ?? []), ...pod.containers].filter((c) => /^codex-sidecar:/.test(c.image));

test('our containers have no rights, a root that is read-only, and a place for each thing that is written', () => {
  for (const name of ['pod.yaml', 'overlays/sidecar/pod.yaml', 'base/deployment.yaml']) {
    const [pod] = podsOf(name);
    assert.equal(pod.securityContext.runAsNonRoot, true, name);
    assert.equal(pod.automountServiceAccountToken, false, name);
    for (const container of ours(pod)) {
      assert.equal(container.securityContext.readOnlyRootFilesystem, true, name);
      assert.equal(container.securityContext.allowPrivilegeEscalation, false, name);
      assert.deepEqual(container.securityContext.capabilities, { drop: ['ALL'] }, name);
    }
    const main = ours(pod).find((c) => c.name === 'codex-sidecar');
    const mounts = main.volumeMounts.filter((m) => !m.readOnly).map((m) => m.mountPath).sort();
    assert.deepEqual(mounts, ['/run/codex-sidecar', '/tmp', '/var/lib/codex', '/var/lib/codex-sidecar'], name);
    assert.ok(pod.volumes.find((v) => v.name === 'tmp').emptyDir, `${name}: codex has its sockets in /tmp`);
    for (const [probe, check] of [['startupProbe', 'startup'], ['livenessProbe', 'live']])
      assert.deepEqual(main[probe].exec.command, ['codex-healthcheck', check], name);
    assert.ok(pod.terminationGracePeriodSeconds >= 42 + 5, `${name}: the longest stop, and some`);
  }
  const [pod] = podsOf('base/deployment.yaml');
  const delay = pod.containers[0].env.find((e) => e.name === 'CODEX_DRAIN_DELAY_MS');
  assert.equal(delay.value, '5000', 'until everybody knows that it leaves');
});

test('a sidecar listens on loopback only; the native one is there before the application', () => {
  for (const name of ['pod.yaml', 'overlays/sidecar/pod.yaml']) {
    const [pod] = podsOf(name);
    const main = ours(pod).find((c) => c.name === 'codex-sidecar');
    assert.equal(main.ports, undefined, name);
    assert.ok(!main.env.some((e) => e.name === 'CODEX_PROXY_HOST'), name);
  }
  const [native] = podsOf('overlays/sidecar/pod.yaml');
  assert.equal(native.initContainers.at(-1).restartPolicy, 'Always');
  assert.deepEqual(native.containers.map((c) => c.name), ['app']);
});

test('the autoscaler asks for a metric that there is', () => {
  const [scaler] = read('overlays/replicas/autoscaler.yaml');
  const [, name] = /^codex_sidecar_(.*)$/.exec(scaler.spec.metrics[0].pods.metric.name);
  const docs = fs.readFileSync(path.resolve(here, '../../docs/metrics.md'), 'utf8');
  assert.match(docs, new RegExp(`^\\| \`${name}\` \\| gauge`, 'm'));
});
