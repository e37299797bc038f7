// Only so many executions of a tenant run at a time. Who waits too long for a turn is told when to come again; other tenants notice nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { data, startSandbox, startServe, until } from './harness.mjs';

let sandbox;
let serve;

before(async () => {
  sandbox = await startSandbox();
  serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIMITS_MAX_CONCURRENT_EXECUTIONS: '1', MULLION_SERVER_REQUEST_TIMEOUT_SECONDS: '8' } });
});
after(() => Promise.all([serve?.stop(), sandbox?.stop()]));

const post = (key, query, accept) => fetch(serve.graphqlUrl, { method: 'POST', body: JSON.stringify({ query }), headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${key}` } });

describe('turns', { timeout: 60_000 }, () => {
  test('who waits too long is refused with RATE_LIMITED and Retry-After, and other tenants are served meanwhile', async () => {
    const [busy, other] = [serve.key('busy', 'admin'), serve.key('other', 'viewer')];
    data(await serve.as(busy)('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id } } }', { input: { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: 'secret', baseUrl: `${sandbox.url}/github` } }));
    await sandbox.resetStats();
    await sandbox.fault({ provider: 'github', kind: 'latency', latencyMs: 14_000 });
    const reading = post(busy, '{ github { repository(owner: "acme", name: "web") { id } } }', 'application/json');
    await until(async () => (await sandbox.stats()).github.total > 0, 'the one that waits for GitHub');
    data(await (await post(busy, '{ dashboards(first: 9) { nodes { id } } }', 'application/json')).json());
    // A mutation keeps its turn while it asks a provider.
    const connect = `mutation { connectIntegration(input: { provider: "github", name: "Another", token: "anything", webhookSecret: "secret", baseUrl: "${sandbox.url}/github" }) { integration { id } } }`;
    const running = post(busy, connect, 'application/json');
    await until(async () => (await sandbox.stats()).github.total > 1, 'the one that takes the turn');

    const waiting = ['application/json', 'application/graphql-response+json'].map((accept, index) => post(busy, `{ dashboards(first: ${index + 1}) { nodes { id } } }`, accept));
    let refused = 0;
    for (const answer of waiting) answer.then(() => { refused += 1; });
    for (let number = 1; number <= 5; number += 1) {
      const served = await post(other, `{ dashboards(first: ${number}) { nodes { id } } }`, 'application/json');
      assert.equal(served.status, 200);
      assert.deepEqual(data(await served.json()).dashboards.nodes, []);
    }
    assert.equal(refused, 0, 'they wait for their turn first');

    for (const answer of await Promise.all(waiting)) {
      assert.equal(answer.status, 429);
      assert.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
      const { errors, ...rest } = await answer.json();
      assert.deepEqual(rest, {});
      assert.deepEqual(errors.map(({ extensions }) => extensions.code), ['RATE_LIMITED']);
    }
    for (const slow of [reading, running]) assert.equal((await slow).status, 504, 'they took longer than a request may');
    await sandbox.clearFaults();
  });
});
