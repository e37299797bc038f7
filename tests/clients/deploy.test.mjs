// docs/deploy: the files are YAML, and every setting, port, path and metric that they name is one that the binary has.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { binary, ROOT, run, startServe, temporaryFolder } from './harness.mjs';

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
    const nginx = read('nginx/server.conf');
    assert.match(nginx, /proxy_buffering off;/);
    const [, megabytes] = /client_max_body_size (\d+)m;/.exec(nginx);
    assert.ok(Number(megabytes) * 1_048_576 > 25_000_000, 'a delivery of GitHub may have 25 MB');
    assert.deepEqual(compose.services.balancer.volumes, ['./nginx:/etc/nginx/conf.d:ro']);
  });

  test('keeps the addresses of Services out of the environment', () => {
    assert.equal(deployment.enableServiceLinks, false);
  });

  test('has alert rules that Prometheus can read', () => {
    const { groups } = parse(read('monitoring/alerts.yaml'));
    const rules = groups.flatMap((group) => group.rules);
    for (const { alert, expr, labels, annotations } of rules) {
      assert.match(alert, /^Mullion[A-Z]\w+$/);
      assert.equal(typeof expr, 'string', alert);
      assert.match(labels.severity, /^(page|ticket)$/, alert);
      assert.ok(annotations.summary && annotations.description, alert);
    }
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  });

  test('has a unit that systemd accepts and finds well locked up', () => {
    const unit = join(temporaryFolder(), 'mullion.service');
    writeFileSync(unit, read('systemd/mullion.service').replaceAll('/usr/local/bin/mullion', binary()));
    const analyze = (...args) => spawnSync('systemd-analyze', [...args, unit], { encoding: 'utf8' });
    const verified = analyze('verify');
    assert.equal(verified.error, undefined, 'systemd-analyze is not installed: on Debian, apt-get install systemd (./tests/run does so where it may)');
    assert.equal(`${verified.status} ${verified.stderr}`, '0 ');
    const rated = analyze('security', '--offline=true', '--threshold=15');
    assert.equal(rated.status, 0, rated.stdout);
    const [, seconds] = /`MULLION_SERVER_SHUTDOWN_SECONDS` \| `(\d+)`/.exec(run(['config-table']));
    assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(readFileSync(unit, 'utf8'))[1]) > Number(seconds));
    const set = [...readFileSync(unit, 'utf8').matchAll(/\b(MULLION_\w+)=/g)].map(([, name]) => name);
    assert.deepEqual(unknown(set).filter((name) => name !== 'MULLION_CONFIG'), []);
  });
});
