// A client that comes back with the last cursor of a connection misses nothing that was still on its way there: the cursor of a
// keep-alive, of a widget's snapshot while others are to come, of one widget's change while another one's is to come.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { events } from './followers.mjs';
import { dashboardId, dice } from './graphs.mjs';
import { data, DEV_SECRET, startDev, until } from './harness.mjs';
import { history } from './history.mjs';
import { dealt, startSenders } from './senders.mjs';

/** So many and so large that they do not fit between the gateway and a client that does not read. */
const COUNT = 60;
const TEXT = 'Said again and again. '.repeat(500);
const LARGE = `subscription ($after: EventCursor) { activity(after: $after) { cursor subject { ... on GithubIssue { ${Array.from({ length: 40 }, (_, number) => `t${number}: bodyText`).join(' ')} } } } }`;

let dev;
let begin;
let head;

before(async () => {
  dev = await startDev({ env: { MULLION_LIVE_EVENT_STREAM_KEEP_ALIVE_SECONDS: '1', MULLION_LIVE_PING_SECONDS: '1' } });
  begin = data(await dev.query('{ eventCursor }')).eventCursor;
  await startSenders(`${dev.url}/webhooks/github/github-dev`, dealt(history(dice(1), { issues: COUNT, versions: 1, text: TEXT }), 4), DEV_SECRET).done;
  await until(async () => data(await dev.query('{ activity(first: 100) { nodes { id } } }')).activity.nodes.length === COUNT, 'all of them');
  head = data(await dev.query('{ eventCursor }')).eventCursor;
});
after(() => dev?.stop());

/** Nothing comes behind a cursor that says that everything came. */
function assertHonest(told) {
  const activities = told.filter(({ keepAlive }) => !keepAlive);
  assert.equal(activities.length, COUNT);
  const early = told.slice(0, told.findLastIndex(({ keepAlive }) => !keepAlive)).filter(({ keepAlive, cursor }) => keepAlive && cursor === head);
  assert.deepEqual(early.length, 0, `${early.length} keep-alives were ahead, at ${told.map(({ keepAlive, cursor }) => (keepAlive ? (cursor === head ? '!' : 'k') : '.')).join('')}`);
}

/** Waits until the gateway sent a client that has nothing to hear so many keep-alives. */
async function periods(count) {
  const idle = await fetch(dev.streamUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: 'subscription { activity { id } }' }) });
  let seen = 0;
  for await (const { event, id } of events(idle.body)) {
    if (!event && id && (seen += 1) >= count) break;
  }
}

describe('the cursor of a keep-alive', { timeout: 120_000 }, () => {
  test('is not ahead of what an event stream has still to send', async () => {
    const response = await fetch(dev.streamUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: LARGE, variables: { after: begin } }) });
    await periods(2);
    const told = [];
    for await (const { event, id } of events(response.body)) {
      told.push({ keepAlive: !event, cursor: id });
      if (told.filter(({ keepAlive }) => !keepAlive).length === COUNT) break;
    }
    assertHonest(told);
  });

  test('is not ahead of what a WebSocket has still to send', async () => {
    const web = new WebSocket(dev.socketUrl, 'graphql-transport-ws');
    await new Promise((open) => web.once('open', open));
    const told = [];
    web.on('message', (bytes) => {
      const { type, payload } = JSON.parse(bytes.toString());
      if (type === 'connection_ack') web.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: LARGE, variables: { after: begin } } }));
      if (type === 'ping') web.send('{"type":"pong"}');
      if (type === 'ping' || type === 'next') told.push({ keepAlive: type === 'ping', cursor: type === 'ping' ? payload?.cursor : payload.data.activity.cursor });
      // Slowly, so that periods pass; but it reads, or it would be closed.
      web._socket.pause();
      setTimeout(() => web._socket.resume(), 100);
    });
    web.send('{"type":"connection_init"}');
    await until(() => told.filter(({ keepAlive }) => !keepAlive).length === COUNT, () => `${told.length}`, 60_000);
    web.terminate();
    assertHonest(told);
  });
});

describe('the cursor of a widget', { timeout: 120_000 }, () => {
  const UPDATES = 'subscription ($id: ID!, $after: EventCursor) { dashboardUpdated(id: $id, after: $after, throttleMs: 0) { cursor reason widget { id __typename ... on MessagesWidget { messages(first: 50) { nodes { id text } } } ... on ActivityWidget { activity(first: 50) { nodes { id } } } } } }';
  let id;
  let widgets;
  before(async () => {
    id = await dashboardId(dev);
    widgets = data(await dev.query('{ dashboard(slug: "team") { widgets { id } } }')).dashboard.widgets.map((widget) => widget.id).sort();
  });

  /** A connection's updates, one by one, each with the id of its event. */
  async function* follow({ after: position, last }) {
    const headers = { 'content-type': 'application/json', ...(last && { 'last-event-id': last }) };
    const response = await fetch(dev.streamUrl, { method: 'POST', headers, body: JSON.stringify({ query: UPDATES, variables: { id, after: position } }) });
    let eventId = last;
    for await (const event of events(response.body)) {
      eventId = event.id ?? eventId;
      if (event.event === 'next') yield { ...JSON.parse(event.data).data.dashboardUpdated, eventId };
    }
  }
  /** The updates up to and with the first that is wanted. */
  async function upTo(wanted, from) {
    const updates = [];
    for await (const update of follow(from)) {
      updates.push(update);
      if (wanted(update)) break;
    }
    return updates;
  }
  const ways = [
    ['as the last event\'s id', ({ eventId }) => ({ last: eventId })],
    ['as `after`', ({ cursor }) => ({ after: cursor })],
  ];
  const isEnd = ({ reason }) => reason === 'SNAPSHOT_END';

  for (const [name, from] of ways) {
    test(`in the middle of the snapshots, ${name}, brings the rest of them`, async () => {
      for (let cut = 1; cut < widgets.length; cut += 1) {
        let left = cut;
        const first = await upTo(() => (left -= 1) === 0, {});
        const second = await upTo(isEnd, from(first.at(-1)));
        const shown = new Set([...first, ...second].map(({ widget }) => widget?.id).filter(Boolean));
        assert.deepEqual([...shown].sort(), widgets, `cut off after ${cut}`);
      }
    });

    test(`in the middle of a change to several, ${name}, brings the others`, async () => {
      const updates = follow({});
      let update;
      do { ({ value: update } = await updates.next()); } while (!isEnd(update));
      await dev.act('slack', 'post_message', { channel: 'general', text: `Cut off, ${name}` });
      ({ value: update } = await updates.next());
      await updates.return();
      const shown = [update, ...await upTo(isEnd, from(update))].map(({ widget }) => widget?.__typename);
      for (const type of ['ActivityWidget', 'MessagesWidget']) assert.ok(shown.includes(type), `${type} among ${shown}`);
    });
  }
});
