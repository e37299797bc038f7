// A Slack that does what the sandbox does not: odd frames, floods, other hosts, refusals. Mullion listens to it all the same.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { data, startServe, until } from './harness.mjs';

const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id } } }';
const UPDATE = 'mutation ($input: UpdateIntegrationInput!) { updateIntegration(input: $input) { integration { id } } }';

/** A Slack of our own. `open(count)` answers `apps.connections.open`, `greet(socket)` speaks first. */
async function startSlack() {
  const slack = { opened: 0, sockets: [], acknowledged: [], open: () => ({}), greet: (socket) => socket.send(JSON.stringify({ type: 'hello' })) };
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const answer = (body, status = 200, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
      if (!request.url.includes('apps.connections.open')) return answer({ ok: true, url: 'https://acme.slack.com/', team: 'Acme', user: 'bot', team_id: 'T1', user_id: 'U1', bot_id: 'B1' });
      slack.opened += 1;
      const { body, status, headers } = slack.open(slack.opened);
      return answer(body ?? { ok: true, url: `${slack.url.replace('http', 'ws')}/link/?ticket=${slack.opened}` }, status, headers);
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.acknowledged = [];
    socket.on('message', (text) => {
      const { envelope_id: id } = JSON.parse(text);
      socket.acknowledged.push(id);
      slack.acknowledged.push(id);
    });
    socket.on('close', () => { slack.sockets = slack.sockets.filter((other) => other !== socket); });
    slack.sockets.push(socket);
    slack.greet(socket);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  slack.url = `http://127.0.0.1:${server.address().port}`;
  slack.stop = () => new Promise((closed) => { for (const socket of sockets.clients) socket.terminate(); sockets.close(); server.close(closed); server.closeAllConnections(); });
  return slack;
}

/** An envelope with a message. */
const envelope = (number, text = `Message ${number}.`) => JSON.stringify({
  envelope_id: `e${number}`,
  type: 'events_api',
  accepts_response_payload: false,
  payload: { type: 'event_callback', team_id: 'T1', event_id: `Ev${number}`, event_time: 1_700_000_000, event: { type: 'message', channel: 'C1', user: 'U2', text, ts: `17000000${String(number).padStart(2, '0')}.000100`, event_ts: '1700000000.000100' } },
});

describe('an integration that listens', { timeout: 120_000 }, () => {
  let slack;
  let server;
  let ask;
  let id;
  before(async () => {
    slack = await startSlack();
    server = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(slack.url).host, MULLION_WEBHOOKS_MAX_QUEUED: '1' } });
    ask = server.as(server.key('acme', 'admin'));
    const input = { provider: 'slack', name: 'Slack', token: 'xoxb-1', appToken: 'xapp-1', baseUrl: `${slack.url}/api/` };
    id = data(await ask(CONNECT, { input })).connectIntegration.integration.id;
  });
  after(() => Promise.all([server?.stop(), slack?.stop()]));

  const health = async () => data(await ask('query ($id: ID!) { node(id: $id) { ... on Integration { status health { state socketState socketError } } } }', { id })).node;
  const shows = (state) => until(async () => { const { health: now } = await health(); return now.socketState === state && now; }, `the socket is ${state}`);
  const deliveries = async () => data(await ask('{ webhookDeliveries(first: 100) { nodes { deliveryId } } }')).webhookDeliveries.nodes.map(({ deliveryId }) => deliveryId);
  const only = () => until(() => slack.sockets.length === 1 && slack.sockets[0], 'one socket');

  beforeEach(async () => {
    slack.acknowledged = [];
    await shows('OPEN');
  });

  test('acknowledges what it has no use for, and is not put off by what it does not know', async () => {
    const socket = await only();
    for (const frame of ['', 'no JSON', '[]', '{}', '{"type":"something_new"}', '{"type":"events_api"}', Buffer.from([0, 1, 2])]) socket.send(frame);
    socket.send(JSON.stringify({ envelope_id: 'command', type: 'slash_commands', payload: { command: '/x', token: 'old' }, accepts_response_payload: true }));
    socket.send(JSON.stringify({ envelope_id: 'unknown', type: 'something_new' }));
    socket.ping();
    socket.send(envelope(1));
    await until(() => socket.acknowledged.includes('e1'), 'the acknowledgement');
    assert.deepEqual(slack.acknowledged, ['command', 'unknown', 'e1']);
    // Acknowledged is on disk, and comes into the table from there.
    assert.deepEqual(await until(async () => { const stored = await deliveries(); return stored.length > 0 && stored; }, 'it is stored'), ['Ev1']);
    assert.equal(await only(), socket, 'it is the same socket');
  });

  test('acknowledges nothing that there is no room for, and takes it when it comes again', async () => {
    const socket = await only();
    const numbers = Array.from({ length: 60 }, (_, number) => 10 + number);
    let left = numbers;
    let rounds = 0;
    await until(async () => {
      rounds += 1;
      for (const number of left) socket.send(envelope(number));
      socket.send(JSON.stringify({ envelope_id: `end${rounds}`, type: 'something_new' }));
      await until(() => socket.acknowledged.includes(`end${rounds}`), 'the end of the round');
      await new Promise((answered) => { socket.once('pong', answered); socket.ping(); });
      // Acknowledged events are on disk, and come into the table from there.
      const acknowledged = socket.acknowledged.filter((id) => /^e\d+$/.test(id)).map((id) => id.replace('e', 'Ev'));
      await until(async () => { const stored = await deliveries(); return acknowledged.every((id) => stored.includes(id)); }, 'what was acknowledged');
      left = numbers.filter((number) => !socket.acknowledged.includes(`e${number}`));
      return left.length === 0;
    }, () => `${left} are left`);
    assert.ok(rounds > 1, 'some had no room at first');
    assert.deepEqual((await deliveries()).sort(), ['Ev1', ...numbers.map((number) => `Ev${number}`)].sort());
  });

  test('leaves a socket that sends too much at once, and opens another', async () => {
    const socket = await only();
    socket.send(envelope(80, 'x'.repeat(3 << 20)));
    await until(() => slack.sockets.length === 1 && slack.sockets[0] !== socket, 'another socket');
    await shows('OPEN');
    assert.ok(!(await deliveries()).includes('Ev80'));
  });

  test('opens the next socket before it leaves one that brings events to the last', async () => {
    const socket = await only();
    const opened = slack.opened;
    slack.greet = () => {};
    socket.send(JSON.stringify({ type: 'disconnect', reason: 'refresh_requested' }));
    const next = await until(() => slack.sockets.find((other) => other !== socket), 'the next socket');
    socket.send(envelope(81));
    await until(() => socket.acknowledged.includes('e81'), 'the old one still serves');
    assert.equal((await health()).health.socketState, 'OPEN');
    socket.send(envelope(82));
    slack.greet = (other) => other.send(JSON.stringify({ type: 'hello' }));
    slack.greet(next);
    await until(() => socket.acknowledged.includes('e82'), 'the last one');
    assert.equal(await only(), next);
    assert.equal(slack.opened, opened + 1);
  });

  test('waits as long as it is told when it asks for too many sockets', async () => {
    const socket = await only();
    const asked = slack.opened;
    const times = [];
    slack.open = (count) => {
      times.push(Date.now());
      return count === asked + 1 ? { body: { ok: false, error: 'ratelimited' }, status: 429, headers: { 'retry-after': '3' } } : {};
    };
    socket.close();
    await until(() => slack.opened === asked + 2, 'the next try');
    assert.ok(times[1] - times[0] >= 2_900, `${times[1] - times[0]} ms`);
    slack.open = () => ({});
    await shows('OPEN');
  });

  for (const [what, body, message] of [
    ['leads elsewhere', { ok: true, url: 'wss://wss.evil.example/link' }, /away from the integration's host/],
    ['leads into the private network', { ok: true, url: 'ws://127.0.0.1:1/link' }, /the socket's address must begin with wss:/],
    ['is no WebSocket', { ok: true, url: 'https://127.0.0.1/link' }, /wss:/],
  ]) {
    test(`does not follow an address that ${what}`, async () => {
      const socket = await only();
      const accepted = slack.open;
      slack.open = () => ({ body });
      socket.close();
      const { socketError } = await shows('FAILED');
      assert.match(socketError, message);
      slack.open = accepted;
      data(await ask(UPDATE, { input: { id, appToken: 'xapp-2' } }));
    });
  }

  test('stops when its token is revoked: the account itself still works', async () => {
    const socket = await only();
    slack.open = () => ({ body: { ok: false, error: 'invalid_auth' } });
    socket.close();
    const { socketError } = await shows('FAILED');
    assert.match(socketError, /invalid_auth.*connections:write.*give it as appToken with updateIntegration/);
    assert.equal((await health()).status, 'CONNECTED');
    const { errors } = await ask(UPDATE, { input: { id, appToken: 'xapp-3' } });
    assert.equal(errors?.[0].extensions.code, 'BAD_USER_INPUT');
    assert.equal((await health()).health.socketState, 'FAILED');
    const opened = slack.opened;
    slack.open = () => ({});
    data(await ask(UPDATE, { input: { id, appToken: 'xapp-4' } }));
    await shows('OPEN');
    assert.equal(slack.opened, opened + 2, 'the check and the socket');
  });
});

describe('a flood over a socket', { timeout: 120_000 }, () => {
  test('waits at its sender, and takes no room from others', async () => {
    const slack = await startSlack();
    const server = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(slack.url).host, MULLION_WEBHOOKS_MAX_QUEUED: '64' } });
    const ask = server.as(server.key('acme', 'admin'));
    const input = { provider: 'slack', name: 'Slack', token: 'xoxb-1', appToken: 'xapp-1', baseUrl: `${slack.url}/api/` };
    data(await ask(CONNECT, { input }));
    const socket = await until(() => slack.sockets[0], 'a socket');
    // None is sent again: each finds room at once, although far more come than there is room for.
    const count = 2_000;
    for (let number = 0; number < count; number += 1) socket.send(envelope(number, 'x'.repeat(2_000)));
    await until(() => socket.acknowledged.length === count, () => `all are acknowledged, not ${socket.acknowledged.length}`);
    assert.equal(new Set(socket.acknowledged).size, count);
    await server.stop();
    await slack.stop();
  });
});
