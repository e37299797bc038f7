// Only so many executions of a tenant run at a time. An execution that waits too long for a turn is refused, with the time to come again;
// other tenants notice nothing.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { data, startSandbox, startServe, until } from './harness.mjs';

let database;
let sandbox;
let serve;

before(async () => {
  database = newDatabase();
  sandbox = await startSandbox();
  serve = await startServe({ env: { DATABASE_URL: database.href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true', MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIMITS_MAX_CONCURRENT_EXECUTIONS: '1', MULLION_SERVER_REQUEST_TIMEOUT_SECONDS: '8' } });
});
after(() => Promise.all([serve?.stop(), sandbox?.stop()]));

const post = (key, query, accept = 'application/json') => fetch(serve.graphqlUrl, { method: 'POST', body: JSON.stringify({ query }), headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${key}` } });
const numberOf = (sql) => Number(spawnSync('psql', ['-Atc', sql, database.href], { encoding: 'utf8' }).stdout);
const connect = (name) => `mutation { connectIntegration(input: { provider: "github", name: "${name}", token: "anything", webhookSecret: "secret", baseUrl: "${sandbox.url}/github" }) { integration { id } } }`;

describe('turns', { timeout: 60_000 }, () => {
  test('are given back while GitHub is waited for, by a query and by a mutation', async () => {
    const key = serve.key('patient', 'admin');
    data(await (await post(key, connect('GitHub'))).json());
    await sandbox.resetStats();
    await sandbox.fault({ provider: 'github', kind: 'latency', latencyMs: 9_000 });
    const slow = [post(key, '{ github { repository(owner: "acme", name: "web") { id } } }')];
    await until(async () => (await sandbox.stats()).github.total > 0, 'the query to wait for GitHub');
    data(await (await post(key, '{ dashboards(first: 1) { nodes { id } } }')).json());
    slow.push(post(key, connect('Another')));
    await until(async () => (await sandbox.stats()).github.total > 1, 'the mutation to wait for GitHub');
    data(await (await post(key, '{ dashboards(first: 2) { nodes { id } } }')).json());
    for (const answer of await Promise.all(slow)) assert.equal(answer.status, 504, 'it took longer than a request may');
    await sandbox.clearFaults();
  });

  test('that do not come in time are a refusal with RATE_LIMITED and Retry-After, and other tenants are served meanwhile', async () => {
    const [busy, other] = [serve.key('busy', 'admin'), serve.key('other', 'viewer')];
    for (const key of [busy, other]) data(await (await post(key, '{ viewer { __typename } }')).json());
    // A query keeps its turn while it reads the database.
    const lock = spawn('psql', ['-c', 'BEGIN; LOCK TABLE dashboard IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)', database.href], { stdio: 'ignore' });
    try {
      await until(() => numberOf("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'dashboard'::regclass") === 1, 'the lock');
      const running = post(busy, '{ dashboards(first: 3) { nodes { id } } }');
      await until(() => numberOf("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'dashboard'::regclass") > 0, 'the query that takes the turn');
      const waiting = ['application/json', 'application/graphql-response+json'].map((accept, index) => post(busy, `{ name${index}: viewer { __typename } }`, accept));
      let refused = 0;
      for (const answer of waiting) answer.then(() => { refused += 1; });
      for (let number = 1; number <= 5; number += 1) {
        const served = await post(other, `{ name${number}: viewer { __typename } }`);
        assert.equal(served.status, 200);
        data(await served.json());
      }
      assert.equal(refused, 0, 'they wait for their turn first');
      for (const answer of await Promise.all(waiting)) {
        assert.equal(answer.status, 429);
        assert.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
        const { errors, ...rest } = await answer.json();
        assert.deepEqual(rest, {});
        assert.deepEqual(errors.map(({ extensions }) => extensions.code), ['RATE_LIMITED']);
      }
      assert.equal((await running).status, 504, 'it took longer than a request may');
    } finally {
      lock.kill();
    }
  });
});
