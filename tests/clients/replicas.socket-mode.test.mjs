// Two replicas over one PostgreSQL, one integration that is listened to: one of them holds the socket, and the other takes over.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newDatabase, startReplicas } from './cluster.mjs';
import { data, startSandbox, until } from './harness.mjs';

let sandbox;
let replicas;
let key;
let id;

before(async () => {
  sandbox = await startSandbox();
  replicas = await startReplicas(2, {
    DATABASE_URL: newDatabase().href,
    // That of the tests throws its data away, and flushes nothing.
    MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true',
    MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host,
  });
  key = replicas[0].key('acme', 'admin');
});
after(() => Promise.all([...(replicas ?? []).map((replica) => replica.stop()), sandbox?.stop()]));

const sockets = async () => (await sandbox.recorded('slack')).sockets;
const health = async (replica) => data(await replica.as(key)('query ($id: ID!) { node(id: $id) { ... on Integration { health { socketState } } } }', { id })).node.health.socketState;
const opens = (replica) => (replica.logs().match(/the socket for events.*OPEN|"state":"OPEN"/g) ?? []).length;
const summaries = async (replica) => data(await replica.as(key)('{ activity(first: 100) { nodes { kind summary } } }')).activity.nodes.map(({ summary }) => summary);

describe('two replicas', { timeout: 120_000 }, () => {
  test('hold one socket between them, and both show how it stands', async () => {
    const input = { provider: 'slack', name: 'Slack', token: 'xoxb-1', appToken: 'xapp-1', baseUrl: `${sandbox.url}/slack/api/` };
    id = data(await replicas[1].as(key)('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id } } }', { input })).connectIntegration.integration.id;
    for (const replica of replicas) await until(async () => (await health(replica)) === 'OPEN', 'the socket is open');
    assert.equal(await sockets(), 1);
    assert.equal(opens(replicas[0]) + opens(replicas[1]), 1, 'one of them opened it');
  });

  test('hand it over when the one that holds it dies, and lose nothing', async () => {
    const owner = replicas.find((replica) => opens(replica) > 0);
    const other = replicas.find((replica) => replica !== owner);
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'Before it died.' });
    owner.signal('SIGKILL');
    await owner.ended();
    for (let number = 0; number < 5; number += 1) await sandbox.act('slack', 'post_message', { channel: 'general', text: `Orphan ${number}.` });
    await until(() => opens(other) > 0, 'the other one holds it', 30_000);
    for (const text of ['Before it died.', ...Array.from({ length: 5 }, (_, number) => `Orphan ${number}.`)]) {
      await until(async () => (await summaries(other)).some((summary) => summary.includes(text)), text);
      assert.equal((await summaries(other)).filter((summary) => summary.includes(text)).length, 1);
    }
    assert.equal(await sockets(), 1);
    await owner.restart();
    assert.equal(await health(owner), 'OPEN');
    assert.equal(await sockets(), 1, 'who comes back does not take it away');
  });

  test('hand it over at once when the one that holds it is stopped', async () => {
    const [owner] = replicas.toSorted((one, other) => opens(other) - opens(one));
    const other = replicas.find((replica) => replica !== owner);
    const before = opens(other);
    await owner.stop();
    await until(() => opens(other) > before, 'the other one holds it');
    assert.equal(await sockets(), 1);
  });
});
