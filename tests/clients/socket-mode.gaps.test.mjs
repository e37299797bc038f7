// Messages from a time without an open socket are told when one is open again, once, to everyone who follows activities; and the
// true state of an integration whose socket was taken away is shown at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect } from './graphs.mjs';
import { data, startSandbox, startServe, until } from './harness.mjs';

const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id } } }';
const UPDATE = 'mutation ($input: UpdateIntegrationInput!) { updateIntegration(input: $input) { integration { id } } }';
const HEALTH = 'query ($id: ID!) { node(id: $id) { ... on Integration { health { socketState webhookState lastDeliveryAt } } } }';
const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { cursor kind summary } }';

describe('a time without a socket', { timeout: 240_000 }, () => {
  let sandbox;
  let server;
  let ask;
  let key;
  let id;
  let live;

  before(async () => {
    sandbox = await startSandbox();
    server = await startServe({ env: { MULLION_RECONCILE_SILENT_SECONDS: '2', MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host } });
    key = server.key('acme', 'admin');
    ask = server.as(key);
    const input = { provider: 'slack', name: 'Slack', token: 'xoxb-1', appToken: 'xapp-1', baseUrl: `${sandbox.url}/slack/api/` };
    id = data(await ask(CONNECT, { input })).connectIntegration.integration.id;
    await shows('OPEN');
    // From here on, however long the subscription takes to begin.
    live = follow(data(await ask('{ eventCursor }')).eventCursor);
    // An address that nothing reaches, so that events without a socket are lost and do not wait for the next one.
    await sandbox.addWebhook('slack', `${sandbox.url}/nowhere`, 'secret');
  });
  after(async () => {
    await live?.end();
    await server?.stop();
    await sandbox?.stop();
  });

  const health = async () => data(await ask(HEALTH, { id })).node.health;
  const shows = (state) => until(async () => (await health()).socketState === state, `the socket is ${state}`);
  const post = (channel, text) => sandbox.act('slack', 'post_message', { channel, text });
  const follow = (cursor) => {
    const client = createClient({ url: server.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization: `Bearer ${key}` } });
    const activities = collect(client.iterate({ query: ACTIVITY, variables: { after: cursor } }));
    return Object.assign(activities, { end: async () => { await activities.stop(); await client.dispose(); } });
  };
  const told = (text) => live.items.filter(({ data: { activity } }) => activity.summary.includes(text));
  const comes = (text) => until(() => { if (live.failure) throw live.failure; return told(text).length; }, `the activity of ${text}`);

  /** Closes the socket, and keeps another from being opened while something happens. */
  async function without(happens) {
    await sandbox.fault({ provider: 'slack', kind: 'server_error', path: 'apps.connections.open' });
    await sandbox.fault({ provider: 'slack', kind: 'drop' });
    await sandbox.act('slack', 'disconnect_sockets', {});
    await until(async () => (await health()).socketState !== 'OPEN', 'the socket is closed');
    await happens();
    await sandbox.clearFaults();
    await shows('OPEN');
  }

  test('is made up for in channels that nobody looked at, once', async () => {
    await post('general', 'Before the gap');
    await comes('Before the gap');
    await without(async () => {
      const { deliveries } = await post('general', 'In the gap, in general');
      assert.ok(deliveries.every(({ status }) => status === null), JSON.stringify(deliveries));
      await post('random', 'In the gap, in random');
      await sandbox.act('slack', 'reply', { channel: 'general', text: 'In the gap, a reply' });
    });
    for (const text of ['In the gap, in general', 'In the gap, in random', 'In the gap, a reply']) await comes(text);
    await post('random', 'After the gap');
    await comes('After the gap');
    // Another gap has all channels looked through again: nothing is told twice.
    await without(() => post('random', 'In the second gap'));
    await comes('In the second gap');
    for (const text of ['Before the gap', 'In the gap, in general', 'In the gap, in random', 'In the gap, a reply', 'After the gap', 'In the second gap']) {
      assert.equal(told(text).length, 1, text);
    }
  });

  test('is made up for although a channel cannot be read at first', async () => {
    await without(async () => {
      await post('random', 'In a gap that takes long');
      await sandbox.fault({ provider: 'slack', kind: 'server_error', path: 'conversations.history', times: 3 });
    });
    await comes('In a gap that takes long');
    assert.equal(told('In a gap that takes long').length, 1);
  });

  test('is made up for after the process was killed', async () => {
    await post('general', 'Before it was killed');
    await comes('Before it was killed');
    const { cursor } = live.items.at(-1).data.activity;
    await live.end();
    await sandbox.fault({ provider: 'slack', kind: 'drop' });
    server.signal('SIGKILL');
    await server.ended();
    await until(async () => (await sandbox.recorded('slack')).sockets === 0, 'its socket is gone');
    await post('random', 'While it was dead');
    await sandbox.clearFaults();
    await server.restart();
    live = follow(cursor);
    await comes('While it was dead');
    assert.equal(told('While it was dead').length, 1);
    assert.equal(told('Before it was killed').length, 0);
  });

  test('that its owner wants is shown at once: nothing is live any more', async () => {
    await shows('OPEN');
    assert.equal((await health()).webhookState, 'LIVE');
    const { errors } = await ask(UPDATE, { input: { id, appToken: '' } });
    assert.match(errors[0].message, /appToken: .*null removes it/);
    data(await ask(UPDATE, { input: { id, appToken: null } }));
    const { socketState, webhookState, lastDeliveryAt } = await health();
    assert.deepEqual([socketState, webhookState], [null, 'SILENT']);
    assert.ok(lastDeliveryAt);
    await until(async () => (await sandbox.recorded('slack')).sockets === 0, 'its socket is closed');
    assert.equal((await health()).webhookState, 'SILENT');
  });
});
