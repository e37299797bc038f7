// docs/deploy: the files are YAML, and every setting, port, path and metric that they name is one that the binary has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { ROOT, run, startServe } from './harness.mjs';

const read = (file) => readFileSync(join(ROOT, 'docs/deploy', file), 'utf8');
const settings = new Set(['DATABASE_URL', ...[...run(['config-table']).matchAll(/`(MULLION_\w+)`/g)].map(([, name]) => name)]);
const unknown = (names) => names.filter((name) => !settings.has(name));

describe('docs/deploy', () => {
  const compose = parse(read('compose.yaml'));
  const manifests = parseAllDocuments(read('kubernetes/mullion.yaml')).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  const deployment = manifests.find(({ kind }) => kind === 'Deployment').spec.template.spec;
  const [container] = deployment.containers;

  test('sets only what can be set', () => {
    assert.deepEqual(unknown(Object.keys(compose.services.mullion.environment)), []);
    assert.deepEqual(unknown(container.env.map(({ name }) => name)), []);
  });

  test('gives a replica more time to end than it takes for itself', () => {
    const [, seconds] = /`MULLION_SERVER_SHUTDOWN_SECONDS` \| `(\d+)`/.exec(run(['config-table']));
    assert.ok(Number.parseInt(compose.services.mullion.stop_grace_period, 10) > Number(seconds));
    assert.ok(deployment.terminationGracePeriodSeconds > Number(seconds) + container.lifecycle.preStop.sleep.seconds);
  });

  test('probes paths and scales on a metric that are there', async () => {
    const serve = await startServe();
    try {
      const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
      assert.deepEqual(ports, { http: 4000, admin: 4002 });
      for (const probe of ['readinessProbe', 'livenessProbe', 'startupProbe']) {
        const { path, port } = container[probe].httpGet;
        assert.equal(port, 'admin');
        assert.equal((await fetch(`${serve.admin}${path}`)).status, 200, path);
      }
      const metrics = await (await fetch(`${serve.admin}/metrics`)).text();
      const { metrics: scaled } = manifests.find(({ kind }) => kind === 'HorizontalPodAutoscaler').spec;
      for (const { pods } of scaled.filter(({ type }) => type === 'Pods')) assert.match(metrics, new RegExp(`# TYPE ${pods.metric.name} gauge`));
    } finally {
      await serve.stop();
    }
  });

  test('passes bodies and streams through the balancer', () => {
    const nginx = read('nginx.conf');
    assert.match(nginx, /proxy_buffering off;/);
    const [, megabytes] = /client_max_body_size (\d+)m;/.exec(nginx);
    assert.ok(Number(megabytes) * 1_048_576 > 25_000_000, 'a delivery of GitHub may have 25 MB');
  });
});
