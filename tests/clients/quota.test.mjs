// Three replicas ask a provider no more than one would: what one fetches the others wait for, and a quota that is used up is tried by none.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { newDatabase, startReplicas } from './cluster.mjs';
import { collect } from './graphs.mjs';
import { data, run, startSandbox, until } from './harness.mjs';

const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }';
const ISSUES = 'query ($name: String!) { github { repository(owner: "acme", name: $name) { id openIssueCount issues(first: 30) { nodes { title author { displayName } } } } } }';
const PULLS = '{ github { repository(owner: "acme", name: "web") { pullRequests(first: 50) { nodes { title reviewDecision } } } } }';

/** How often what nobody tells of is read again, in seconds. */
const POLL = 2;

let sandbox;
let replicas;
let key;

before(async () => {
  sandbox = await startSandbox();
  replicas = await startReplicas(3, {
    DATABASE_URL: newDatabase().href,
    // That of the tests throws its data away, and flushes nothing.
    MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true',
    MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host,
    MULLION_LIVE_POLL_SECONDS: String(POLL),
  });
  key = run(['key', 'create', '--tenant', 'acme', '--name', 'admin', '--role', 'admin'], replicas[0].settings).trim();
  for (const [provider, name] of [['github', 'GitHub'], ['slack', 'Slack']]) {
    data(await replicas[0].as(key)(CONNECT, { input: { provider, name, token: 'anything', webhookSecret: 'secret', baseUrl: `${sandbox.url}/${provider}${provider === 'slack' ? '/api' : ''}` } }));
  }
});
beforeEach(() => sandbox.resetStats());
after(() => Promise.all([...(replicas ?? []).map((replica) => replica.stop()), sandbox?.stop()]));

const ask = (document, variables) => Promise.all(replicas.map((replica) => replica.as(key)(document, variables)));
async function calls(provider) {
  const { total, paths } = (await sandbox.stats())[provider];
  return { total, told: JSON.stringify(paths) };
}
/** What one replica alone spends on a question, of a thing that is like the other's. */
async function alone(document, variables) {
  data(await replicas[0].as(key)(document, variables));
  const { total } = await calls('github');
  await sandbox.resetStats();
  assert.ok(total > 0);
  return total;
}

describe('three replicas', { timeout: 120_000 }, () => {
  test('spend on a question that all are asked at once what one spends', async () => {
    const one = await alone(ISSUES, { name: 'api' });
    // The stand-in takes its time, as a provider does: meanwhile all have asked.
    await sandbox.fault({ provider: 'github', kind: 'latency', latencyMs: 300 });
    const answers = (await ask(ISSUES, { name: 'web' })).map(data);
    await sandbox.clearFaults();
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    assert.equal(answers[0].github.repository.issues.nodes.length, 30);
    const { total, told } = await calls('github');
    assert.ok(total <= one, `${total} calls where one replica makes ${one}: ${told}`);
  });

  test('spend nothing on what another one has read before', async () => {
    data(await replicas[0].as(key)(PULLS));
    await sandbox.resetStats();
    const answers = (await ask(PULLS)).map(data);
    assert.deepEqual(answers[1], answers[0]);
    assert.deepEqual(await calls('github'), { total: 0, told: '{}' });
  });

  test('read what comes without webhooks again once for all', async () => {
    const { repository } = data(await replicas[0].as(key)(ISSUES, { name: 'web' })).github;
    const { dashboard } = data(await replicas[0].as(key)('mutation { createDashboard(input: { name: "Ours", slug: "ours" }) { dashboard { id } } }')).createDashboard;
    const source = { workItems: { filter: { containerIds: [repository.id], states: ['TODO', 'IN_PROGRESS'] } } };
    const { widget } = data(await replicas[0].as(key)('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: dashboard.id, title: 'Issues', source } })).addWidget;
    const clients = replicas.map((replica) => createClient({ url: replica.socketUrl, webSocketImpl: WebSocket, connectionParams: { authorization: `Bearer ${key}` } }));
    const lives = clients.map((client) => collect(client.iterate({ query: 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { widget { ... on WorkItemsWidget { items(first: 30) { nodes { title } } } } } }', variables: { id: widget.id } })));
    for (const live of lives) await until(() => live.items.length > 0, 'the first answer');
    await sandbox.resetStats();
    // No webhook is registered: it is found by asking.
    await sandbox.act('github', 'open_issue', { repository: 'acme/web', title: 'Unheard of' });
    for (const live of lives) await until(() => JSON.stringify(live.items).includes('Unheard of'), 'what nobody told');
    // From here on nothing happens, and each of the three looks again every `POLL` seconds, at one list, with one call. A read by
    // one of them is new enough for the others, so that there is one call in that time, now and then one more where two look at
    // the same moment; each for itself would make three.
    await sandbox.resetStats();
    const since = Date.now();
    await until(async () => (await calls('github')).total >= 9, 'nine more reads', 60_000);
    const { total, told } = await calls('github');
    const rounds = Math.floor((Date.now() - since) / (POLL * 1000)) + 1;
    for (const live of lives) await live.stop();
    for (const client of clients) await client.dispose();
    assert.ok(total <= rounds * 2, `${total} calls in ${rounds} rounds: ${told}`);
  });

  test('do not try a quota that one of them was told is used up', async () => {
    await sandbox.fault({ provider: 'slack', kind: 'rate_limit', retryAfter: 120 });
    const document = '{ slack { channels(first: 5) { nodes { name } } } }';
    const first = await replicas[0].as(key)(document);
    assert.match(JSON.stringify(first), /RATE_LIMITED/);
    const { total } = await calls('slack');
    assert.ok(total > 0);
    for (const replica of replicas.slice(1)) {
      // It is told before anyone could ask again: the answer waits for nothing else.
      await until(async () => {
        await sandbox.resetStats();
        assert.match(JSON.stringify(await replica.as(key)(document)), /RATE_LIMITED/);
        return (await calls('slack')).total === 0;
      }, 'a replica that asks no more');
    }
    await sandbox.clearFaults();
  });
});
