// Slack's Socket Mode: the sandbox's, proven by Slack's own client; and Mullion listening there, without a public address.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { SocketModeClient } from '@slack/socket-mode';
import { WebClient } from '@slack/web-api';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect } from './graphs.mjs';
import { data, startSandbox, startServe, until } from './harness.mjs';

const quiet = { debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel: () => 'error', setName() {} };
const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } webhookSecret } }';
const UPDATE = 'mutation ($input: UpdateIntegrationInput!) { updateIntegration(input: $input) { integration { id } } }';
const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id kind summary } }';

/** A TCP way to a server on which what clients send can be held back. */
async function startWay(port) {
  const sockets = new Set();
  let held = false;
  let heard = '';
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => { sockets.delete(socket); near.destroy(); far.destroy(); });
    }
    near.on('data', (bytes) => { if (!held) far.write(bytes); });
    far.on('data', (bytes) => { heard += bytes.toString('latin1'); near.write(bytes); });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: server.address().port,
    /** From now on nothing that clients send gets through. */
    hold() { held = true; },
    resume() { held = false; },
    /** Waits until a text got through to a client. */
    brought: (text) => until(() => heard.includes(text), `${text} on its way`),
    stop: () => new Promise((closed) => { server.close(closed); for (const socket of sockets) socket.destroy(); }),
  };
}

// Slack's client leaves timers of half a minute behind: they must not hold the process up.
const startTimer = globalThis.setTimeout;
globalThis.setTimeout = Object.assign((what, after, ...more) => {
  const timer = startTimer(what, after, ...more);
  return after === 30_000 ? timer.unref() : timer;
}, startTimer);

describe('the sandbox\'s Socket Mode', () => {
  let sandbox;
  const clients = [];
  before(async () => { sandbox = await startSandbox(); });
  after(async () => {
    for (const client of clients) await client.disconnect();
    await sandbox?.stop();
  });
  const api = (token) => new WebClient(token, { slackApiUrl: `${sandbox.url}/slack/api/`, retryConfig: { retries: 0 }, logger: quiet });
  const open = async (query = '') => {
    const { url } = await api('xapp-1').apps.connections.open();
    const socket = new WebSocket(`${url}${query}`);
    socket.texts = [];
    socket.on('message', (text) => socket.texts.push(JSON.parse(text)));
    await new Promise((opened, failed) => socket.on('open', opened).on('error', failed));
    await until(() => socket.texts.length, 'the first word');
    return socket;
  };
  const recorded = () => sandbox.recorded('slack');

  test('asks for an app-level token, and its tickets open one socket', async () => {
    await assert.rejects(api('xoxb-1').apps.connections.open(), (error) => error.data.error === 'not_allowed_token_type');
    const { url } = await api('xapp-1').apps.connections.open();
    assert.match(url, /^ws:\/\/127\.0\.0\.1:\d+\/slack\/api\/link\/\?ticket=[0-9a-f-]+&app_id=A/);
    const refused = (address) => new Promise((done) => new WebSocket(address).on('unexpected-response', (_, response) => done(response.statusCode)).on('open', () => done('open')).on('error', () => {}));
    const first = new WebSocket(url);
    await new Promise((opened) => first.on('open', opened));
    assert.equal(await refused(url), 403, 'it was used');
    assert.equal(await refused(url.replace(/ticket=[^&]+/, 'ticket=0')), 403);
    first.close();
    await until(async () => (await recorded()).sockets === 0, 'the end of it');
  });

  test('is what Slack\'s client expects: events, acknowledgements, retries and renewals', async () => {
    const client = new SocketModeClient({ appToken: 'xapp-1', clientPingTimeout: 900, clientOptions: { slackApiUrl: `${sandbox.url}/slack/api/` }, logger: quiet });
    clients.push(client);
    const events = [];
    let acknowledges = true;
    client.on('slack_event', async (event) => {
      events.push(event);
      if (acknowledges) await event.ack();
    });
    await client.start();
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'Over a socket' });
    const [first] = await until(() => events.length && events, 'the event');
    assert.deepEqual([first.type, first.retry_num, first.body.type, first.body.event.text], ['events_api', 0, 'event_callback', 'Over a socket']);
    await until(async () => (await recorded()).unacknowledged === 0, 'the acknowledgement');
    acknowledges = false;
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'Not acknowledged' });
    const again = await until(() => events.find(({ retry_num: number, body }) => number === 1 && body.event.text === 'Not acknowledged'), 'it comes again');
    assert.equal(again.retry_reason, 'timeout');
    await again.ack();
    acknowledges = true;
    await until(async () => (await recorded()).unacknowledged === 0, 'the acknowledgement');
    for (const reason of ['warning', 'refresh_requested', undefined]) {
      assert.equal((await sandbox.act('slack', 'disconnect_sockets', { reason })).result.sockets, 1);
      await sandbox.act('slack', 'post_message', { channel: 'general', text: `After ${reason}` });
      await until(() => events.some(({ body }) => body.event.text === `After ${reason}`), `the event after ${reason}`);
      await until(async () => { const { sockets, unacknowledged } = await recorded(); return sockets === 1 && unacknowledged === 0; }, 'its new socket');
    }
    await client.disconnect();
    clients.pop();
  });

  test('lets an app have ten sockets, and sends each event over one of them', async () => {
    const sockets = [];
    for (let count = 0; count < 10; count += 1) sockets.push(await open());
    assert.deepEqual(sockets.map(({ texts }) => texts[0].num_connections), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const over = await open();
    assert.equal(over.texts[0].reason, 'too_many_websockets');
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'For one' });
    await until(() => sockets.some(({ texts }) => texts.length > 1), 'the event');
    const [envelope, more] = sockets.flatMap(({ texts }) => texts.slice(1));
    assert.equal(more, undefined);
    for (const socket of sockets) socket.send(JSON.stringify({ envelope_id: envelope.envelope_id }));
    await until(async () => (await recorded()).unacknowledged === 0, 'the acknowledgement');
    for (const socket of [...sockets, over]) socket.close();
    await until(async () => (await recorded()).sockets === 0, 'the end of them');
  });

  test('says that Socket Mode was switched off', async () => {
    const socket = await open('&debug_reconnects=true');
    assert.equal(socket.texts[0].debug_info.approximate_connection_time, 360);
    const closed = new Promise((done) => socket.on('close', done));
    await sandbox.act('slack', 'disconnect_sockets', { reason: 'link_disabled' });
    await closed;
    assert.equal(socket.texts.at(-1).reason, 'link_disabled');
  });
});

describe('an integration with an app token', { timeout: 240_000 }, () => {
  let sandbox;
  let way;
  let server;
  let ask;
  let id;
  let key;
  let socket;

  before(async () => {
    sandbox = await startSandbox();
    way = await startWay(Number(new URL(sandbox.url).port));
    server = await startServe({ env: { MULLION_PUBLIC_URL: undefined, MULLION_UPSTREAM_ALLOW: `127.0.0.1:${way.port}` } });
    key = server.key('acme', 'admin');
    ask = server.as(key);
    socket = createClient({ url: server.socketUrl, webSocketImpl: WebSocket, retryAttempts: 100, retryWait: () => new Promise((later) => setTimeout(later, 100)), shouldRetry: () => true, connectionParams: { authorization: `Bearer ${key}` } });
  });
  after(async () => {
    await socket?.dispose();
    await Promise.all([server?.stop(), sandbox?.stop()]);
    await way?.stop();
  });

  const input = (more) => ({ provider: 'slack', name: 'Slack', token: 'xoxb-1', baseUrl: `http://127.0.0.1:${way.port}/slack/api/`, ...more });
  const health = async () => data(await ask('query ($id: ID!) { node(id: $id) { ... on Integration { health { state socketState socketError lastDeliveryAt } } } }', { id })).node.health;
  const shows = (state) => until(async () => { const now = await health(); return now.socketState === state && now; }, `the socket is ${state}`);
  const sockets = async () => (await sandbox.recorded('slack')).sockets;
  const quiets = () => until(async () => (await sandbox.recorded('slack')).unacknowledged === 0, 'all is acknowledged');
  const post = (text) => sandbox.act('slack', 'post_message', { channel: 'general', text });
  const cursor = async () => data(await ask('{ eventCursor }')).eventCursor;
  const watch = async () => collect(socket.iterate({ query: ACTIVITY, variables: { after: await cursor() } }));
  const messages = (live) => live.items.filter(({ data: { activity } }) => activity.kind === 'message').map(({ data: { activity } }) => activity.summary);
  const with_ = (live, text) => messages(live).filter((summary) => summary.includes(text));
  const comes = (live, text) => until(() => { if (live.failure) throw live.failure; return with_(live, text).length; }, () => `the activity of ${text}, only ${messages(live)}`);
  const deliveries = async () => data(await ask('{ webhookDeliveries(first: 100) { nodes { deliveryId source state } } }')).webhookDeliveries.nodes;

  test('is refused with a token that opens no socket, and at a provider without sockets', async () => {
    for (const [given, message] of [[{ appToken: 'xoxb-1' }, /appToken: Slack .*xapp-.*connections:write.*give it again as appToken$/], [{ provider: 'github', appToken: 'xapp-1', baseUrl: `http://127.0.0.1:${way.port}/github` }, /appToken: GitHub/], [{ appToken: ' ' }, /appToken/]]) {
      const { errors } = await ask(CONNECT, { input: input(given) });
      assert.equal(errors?.[0].extensions.code, 'BAD_USER_INPUT', JSON.stringify(errors));
      assert.match(errors[0].message, message);
    }
    assert.equal(await sockets(), 0);
  });

  test('gets a message to a subscriber without a public webhook', async () => {
    const { integration, webhookSecret } = data(await ask(CONNECT, { input: input({ appToken: 'xapp-1' }) })).connectIntegration;
    assert.deepEqual([integration.webhookUrl, webhookSecret], [null, null]);
    id = integration.id;
    const { socketError } = await shows('OPEN');
    assert.equal(socketError, null);
    const live = await watch();
    await post('Without an address');
    await comes(live, 'Without an address');
    await quiets();
    await live.stop();
    assert.equal(await sockets(), 1);
    const { channels } = data(await ask('{ slack { channels(first: 1) { nodes { id } } } }')).slack;
    data(await ask('mutation ($id: ID!, $of: [ID!]!) { registerWebhooks(integrationId: $id, containerIds: $of) { integration { id } } }', { id, of: [channels.nodes[0].id] }));
  });

  test('loses and doubles nothing while its socket is renewed and cut off in a stream of messages', async () => {
    const live = await watch();
    const reasons = { 10: { reason: 'refresh_requested' }, 25: {}, 40: { reason: 'warning' } };
    for (let number = 0; number < 60; number += 1) {
      if (reasons[number]) await sandbox.act('slack', 'disconnect_sockets', reasons[number]);
      await post(`Stream ${number}.`);
    }
    for (let number = 0; number < 60; number += 1) await comes(live, `Stream ${number}.`);
    await quiets();
    assert.equal(with_(live, 'Stream ').length, 60);
    await live.stop();
    await until(async () => (await sockets()) === 1, 'one socket is left');
    await shows('OPEN');
  });

  test('applies once what comes again because its acknowledgement was lost', async () => {
    const live = await watch();
    const before = await deliveries();
    await sandbox.act('slack', 'lose_acknowledgements', { count: 1 });
    await post('Acknowledged in vain');
    await comes(live, 'Acknowledged in vain');
    await quiets();
    await post('The next one');
    await comes(live, 'The next one');
    assert.equal(with_(live, 'Acknowledged in vain').length, 1);
    const now = await deliveries();
    assert.deepEqual([now.length, now[0].source], [before.length + 2, 'SOCKET']);
    await live.stop();
  });

  for (const [moment, reached] of [
    ['at once', () => {}],
    ['after it was stored', (known) => until(async () => (await deliveries()).length > known, 'it is stored')],
  ]) {
    test(`applies once what came when it was killed, ${moment}, before the acknowledgement`, async () => {
      const text = `Killed ${moment}.`;
      await shows('OPEN');
      await quiets();
      const [after, known] = [await cursor(), (await deliveries()).length];
      way.hold();
      await post(text);
      await way.brought(text);
      await reached(known);
      server.signal('SIGKILL');
      await server.ended();
      way.resume();
      assert.equal((await sandbox.recorded('slack')).unacknowledged, 1);
      await server.restart();
      const live = collect(socket.iterate({ query: ACTIVITY, variables: { after } }));
      await comes(live, text);
      await quiets();
      await post(`After it, ${moment}`);
      await comes(live, `After it, ${moment}`);
      assert.equal(with_(live, text).length, 1);
      const now = await deliveries();
      assert.equal(now.length, known + 2);
      assert.ok(now.every(({ state }) => state === 'APPLIED'));
      await live.stop();
    });
  }

  test('says what to do when Socket Mode was switched off, and listens again with a token', async () => {
    await shows('OPEN');
    await sandbox.act('slack', 'disconnect_sockets', { reason: 'link_disabled' });
    const { state, socketError } = await shows('FAILED');
    assert.equal(state, 'DEGRADED');
    assert.match(socketError, /switch it on .*appToken/);
    assert.equal(await sockets(), 0);
    data(await ask(UPDATE, { input: { id, appToken: 'xapp-2' } }));
    await shows('OPEN');
    const live = await watch();
    await post('On again');
    await comes(live, 'On again');
    await live.stop();
  });

  test('stops listening when the token is taken away', async () => {
    data(await ask(UPDATE, { input: { id, name: 'Renamed' } }));
    await shows('OPEN');
    data(await ask(UPDATE, { input: { id, appToken: null } }));
    assert.equal((await health()).socketState, null);
    await until(async () => (await sockets()) === 0, 'the socket is closed');
  });

  test('closes its socket when it is stopped', async () => {
    data(await ask(UPDATE, { input: { id, appToken: 'xapp-3' } }));
    await shows('OPEN');
    await quiets();
    await server.stop();
    assert.equal(await sockets(), 0);
    assert.equal(server.exitCode(), 0);
  });
});
