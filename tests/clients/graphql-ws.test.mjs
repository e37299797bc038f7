// graphql-transport-ws: with the npm client graphql-ws, and with raw sockets where a client would behave too well.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect, dashboardId, socket } from './graphs.mjs';
import { data, startDev } from './harness.mjs';

let dev;
let dashboard;
const open = (options) => createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, ...options });
const DASHBOARD = `subscription ($id: ID!, $after: EventCursor) {
  dashboardUpdated(id: $id, after: $after, throttleMs: 0) {
    cursor reason widgetId causes { kind summary }
    widget { __typename title ... on WorkItemsWidget { items(first: 50) { nodes { title state } } } ... on ActivityWidget { activity(first: 5) { nodes { summary } } } }
  }
}`;

before(async () => {
  dev = await startDev({ env: { MULLION_LIVE_INIT_TIMEOUT_MILLISECONDS: '1500' } });
  dashboard = await dashboardId(dev);
});
after(() => dev?.stop());

describe('graphql-ws', () => {
  test('runs queries and mutations, and tells errors', async () => {
    const client = open();
    const [answer] = await collectAll(client.iterate({ query: 'query ($slug: String!) { dashboard(slug: $slug) { slug } }', variables: { slug: 'team' } }));
    assert.deepEqual(answer.data, { dashboard: { slug: 'team' } });
    const [created] = await collectAll(client.iterate({ query: 'mutation { createDashboard(input: { name: "Over a socket", slug: "socket" }) { dashboard { slug } } }' }));
    assert.deepEqual(created.data, { createDashboard: { dashboard: { slug: 'socket' } } });
    await assert.rejects(collectAll(client.iterate({ query: '{ nothing }' })), (errors) => errors[0].extensions.code === 'GRAPHQL_VALIDATION_FAILED');
    await assert.rejects(collectAll(client.iterate({ query: '{' })), (errors) => errors[0].extensions.code === 'GRAPHQL_PARSE_FAILED');
    await client.dispose();
  });

  test('streams every activity, and resumes after a cursor without a gap or a repeat', async () => {
    const client = open();
    const query = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor kind summary provider { key } subject { __typename title } } }';
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    const live = collect(client.iterate({ query, variables: { after: eventCursor } }));
    await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Seen over a socket' });
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Said over a socket' });
    await dev.act('github', 'push', { repository: 'acme/web' });
    const opened = await live.find(({ data }) => data.activity.kind === 'issues.opened', 'issues.opened');
    assert.deepEqual(opened.data.activity.subject, { __typename: 'GithubIssue', title: 'Seen over a socket' });
    await live.find(({ data }) => data.activity.kind === 'message' && data.activity.provider.key === 'slack', 'message');
    await live.find(({ data }) => data.activity.kind === 'push', 'push');
    const ids = live.items.map(({ data }) => data.activity.id);
    assert.equal(new Set(ids).size, ids.length, 'none twice');
    const resumed = collect(client.iterate({ query, variables: { after: live.items[0].data.activity.cursor } }));
    await resumed.find(({ data }) => data.activity.id === ids.at(-1), 'the last activity');
    assert.deepEqual(resumed.items.map(({ data }) => data.activity.id).slice(0, ids.length - 1), ids.slice(1));
    await live.stop();
    await resumed.stop();
    await client.dispose();
  });

  test('shows a dashboard: its widgets, SNAPSHOT_END, then what changes', async () => {
    const client = open();
    const live = collect(client.iterate({ query: DASHBOARD, variables: { id: dashboard } }));
    const end = await live.find(({ data }) => data.dashboardUpdated.reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    assert.equal(end.data.dashboardUpdated.widgetId, null);
    const snapshot = live.items.slice(0, live.items.indexOf(end)).map(({ data }) => data.dashboardUpdated);
    assert.ok(snapshot.length >= 6 && snapshot.every(({ reason }) => reason === 'SNAPSHOT'));
    await dev.resetStats();
    const title = `Live ${Date.now()}`;
    await dev.act('github', 'open_issue', { repository: 'acme/web', title });
    const changed = await live.find(({ data: { dashboardUpdated } }) => dashboardUpdated.reason === 'CHANGED' && dashboardUpdated.widget.items?.nodes.some((item) => item.title === title), 'the new issue');
    assert.ok(changed.data.dashboardUpdated.causes.some(({ kind }) => kind === 'issues.opened'));
    assert.equal((await dev.stats()).github.total, 0, 'the payload carried the whole issue');
    const resumed = collect(client.iterate({ query: DASHBOARD, variables: { id: dashboard, after: end.data.dashboardUpdated.cursor } }));
    await resumed.find(({ data }) => data.dashboardUpdated.reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    assert.ok(resumed.items.length < live.items.length && resumed.items.length > 1, 'only what changed since');
    await live.stop();
    await resumed.stop();
    await client.dispose();
  });

  test('sends one widget, and nothing when nothing but cursor and causes would differ', async () => {
    const client = open();
    const { dashboard: { widgets } } = data(await dev.query('{ dashboard(slug: "team") { widgets { id __typename } } }'));
    const { id } = widgets.find(({ __typename }) => __typename === 'WorkItemsWidget');
    const live = collect(client.iterate({ query: 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason cursor widget { id } } }', variables: { id } }));
    await live.find(({ data }) => data.widgetUpdated.reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    const before = live.items.length;
    await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Not selected' });
    // Something that must come, to know that the first has been looked at.
    await dev.query('mutation ($id: ID!) { refreshWidget(id: $id) { widget { id } } }', { id });
    await live.find(({ data }) => data.widgetUpdated.reason === 'REFRESHED', 'REFRESHED');
    assert.deepEqual(live.items.slice(before).map(({ data }) => data.widgetUpdated.reason), ['REFRESHED']);
    await live.stop();
    await client.dispose();
  });

  test('tells of the nodes that were asked for', async () => {
    const client = open();
    const { result } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Watched' });
    const found = data(await dev.query('query ($number: Int!) { github { repository(owner: "acme", name: "web") { issue(number: $number) { id } } } }', { number: result.number }));
    const { id } = found.github.repository.issue;
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    const live = collect(client.iterate({ query: 'subscription ($ids: [ID!]!, $after: EventCursor) { nodeChanged(ids: $ids, after: $after) { deleted node { id ... on GithubIssue { title } } causes { kind } } }', variables: { ids: [id], after: eventCursor } }));
    await dev.act('github', 'edit_issue', { repository: 'acme/web', number: result.number, title: 'Watched and changed' });
    const { data: { nodeChanged } } = await live.find(({ data }) => data.nodeChanged.node?.title === 'Watched and changed', 'the change');
    assert.deepEqual([nodeChanged.deleted, nodeChanged.node.id], [false, id]);
    await dev.act('github', 'delete_issue', { repository: 'acme/web', number: result.number });
    await live.find(({ data }) => data.nodeChanged.deleted, 'the deletion');
    await live.stop();
    await client.dispose();
  });
});

describe('the protocol', () => {
  const subscribe = (id, query = 'subscription { activity { id } }') => ({ type: 'subscribe', id, payload: { query } });
  const init = { type: 'connection_init' };
  const closings = [
    ['subscribe before the acknowledgement', [subscribe('1')], 4401],
    ['a second connection_init', [init, init], 4429],
    ['an id that is taken', [init, 'ack', subscribe('1'), subscribe('1')], 4409],
    ['no JSON', ['{'], 4400],
    ['no object', ['[]'], 4400],
    ['an unknown type', [{ type: 'start' }], 4400],
    ['a subscription without an id', [init, 'ack', { type: 'subscribe', payload: { query: '{ eventCursor }' } }], 4400],
    ['a subscription without a payload', [init, 'ack', { type: 'subscribe', id: '1' }], 4400],
    ['a payload without a query', [init, 'ack', { type: 'subscribe', id: '1', payload: {} }], 4400],
    ['an init payload that is no object', [{ type: 'connection_init', payload: 'key' }], 4400],
    ['a binary message', [Buffer.from('{"type":"connection_init"}')], 4400],
    ['no connection_init in time', [], 4408],
  ];
  for (const [name, messages, code] of closings) {
    test(`closes with ${code}: ${name}`, async () => {
      const raw = await socket(dev.socketUrl);
      for (const message of messages) {
        if (message === 'ack') await raw.next(({ type }) => type === 'connection_ack', 'connection_ack');
        else raw.send(message);
      }
      assert.equal((await raw.closed).code, code);
    });
  }

  test('closes with 4406 or refuses the handshake: another subprotocol', async () => {
    for (const protocols of [['graphql-ws'], []]) {
      const outcome = await socket(dev.socketUrl, { protocols }).then((raw) => raw.closed.then(({ code }) => code), (error) => error.status ?? error.message);
      assert.ok([4406, 400].includes(outcome) || /subprotocol/i.test(outcome), String(outcome));
    }
  });

  test('closes with 4403: a bad key', async () => {
    const raw = await socket(dev.socketUrl);
    raw.send({ type: 'connection_init', payload: { authorization: 'Bearer mullion_not_a_key' } });
    assert.equal((await raw.closed).code, 4403);
  });

  test('answers a ping with its payload, before and after the acknowledgement', async () => {
    const raw = await socket(dev.socketUrl);
    raw.send({ type: 'ping', payload: { n: 1 } });
    assert.deepEqual(await raw.next(({ type }) => type === 'pong'), { type: 'pong', payload: { n: 1 } });
    raw.send(init);
    await raw.next(({ type }) => type === 'connection_ack');
    raw.send({ type: 'ping' });
    assert.deepEqual(await raw.next(({ type }) => type === 'pong'), { type: 'pong' });
    raw.send({ type: 'pong' });
    raw.send({ type: 'ping' });
    await raw.next(({ type }) => type === 'pong');
    raw.close();
  });

  test('frees an id when its operation ends, and stops an operation on complete', async () => {
    const raw = await socket(dev.socketUrl, { init: true });
    for (let round = 0; round < 2; round += 1) {
      raw.send(subscribe('1', '{ eventCursor }'));
      assert.ok((await raw.next(({ type }) => type === 'next')).payload.data.eventCursor);
      assert.deepEqual(await raw.next(({ type }) => type === 'complete'), { id: '1', type: 'complete' });
    }
    raw.send(subscribe('2'));
    raw.send({ type: 'complete', id: '2' });
    raw.send(subscribe('2'));
    raw.send({ type: 'complete', id: '2' });
    raw.send({ type: 'ping' });
    await raw.next(({ type }) => type === 'pong');
    await dev.act('github', 'star', { repository: 'acme/web' });
    raw.send(subscribe('3', '{ eventCursor }'));
    await raw.next(({ type, id }) => type === 'complete' && id === '3');
    assert.ok(!raw.messages.some(({ id, type }) => id === '2' && type === 'next'), JSON.stringify(raw.messages));
    raw.close();
  });
});

async function collectAll(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}
