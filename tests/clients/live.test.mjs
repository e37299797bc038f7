// Live operations at their limits: many who ask the same, one that never reads, deploys, and subscriptions in parts over HTTP.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect, socket, widgetId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor kind } }';

/** How many ask the same. Each of them is two open files: one here, one there. */
const SOCKETS = 10_000;
/** How long all of them may take to be told. */
const LATEST = 60_000;

/** A number of the metrics, by the beginning of its line. */
async function metric(dev, name) {
  const text = await (await fetch(`${dev.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line ? Number(line.split(' ')[1]) : 0;
}
const executions = (dev) => metric(dev, 'mullion_executions_total{kind="live"}');

describe('many who ask the same', () => {
  let dev;
  before(async () => { dev = await startDev({ env: { MULLION_LIVE_PING_SECONDS: '600', MULLION_LIVE_POLL_SECONDS: '86400' } }); });
  after(() => dev?.stop());

  test('ten thousand sockets share one execution for each change, and one that never reads delays none of them', async () => {
    const id = await widgetId(dev, 'MessagesWidget');
    const query = 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason cursor widget { ... on MessagesWidget { messages(first: 50) { nodes { id text } } } } } }';
    const all = [];
    for (let opened = 0; opened < SOCKETS; opened += 100) all.push(...await Promise.all(Array.from({ length: 100 }, () => follow(dev.socketUrl, { query, variables: { id } }))));
    await until(() => all.every(({ reasons }) => reasons.includes('SNAPSHOT_END')), () => `snapshots of ${all.filter(({ reasons }) => reasons.includes('SNAPSHOT_END')).length}`, LATEST);
    assert.equal(await metric(dev, 'mullion_open_sockets{transport="websocket"}'), SOCKETS);
    assert.equal(await metric(dev, 'mullion_socket_operations'), SOCKETS);
    const [slow, ...others] = all;
    slow.web._socket.pause();
    // Messages, because their versions tell more than seconds: nothing has to be read again after them.
    for (const title of ['Second', 'Third', 'Fourth']) {
      const before = await executions(dev);
      await dev.act('slack', 'post_message', { channel: 'general', text: title });
      await until(() => others.every(({ last }) => last().includes(`"${title}"`)), () => `${title} at ${others.filter(({ last }) => last().includes(`"${title}"`)).length}`, LATEST);
      assert.equal(await executions(dev) - before, 1, title);
    }
    slow.web._socket.resume();
    await until(() => slow.last().includes('"Fourth"'), 'the newest state for the slow one');
    for (const { web } of all) web.terminate();
    await until(async () => await metric(dev, 'mullion_socket_operations') === 0, 'the end of all operations', LATEST);
  });

  test('dev admits fifty thousand sockets, all of them of its one tenant', async () => {
    for (const limit of ['sockets', 'sockets_per_tenant']) assert.equal(await metric(dev, `mullion_live_limit{limit="${limit}"}`), 50_000);
  });
});

describe('a deploy', () => {
  let dev;
  before(async () => { dev = await startDev(); });
  after(() => dev?.stop());

  test('graphql-ws comes back by itself, when it was told to, and misses nothing', async () => {
    const { eventCursor: start } = data(await dev.query('{ eventCursor }'));
    let hint;
    const waits = [];
    const client = createClient({
      url: dev.socketUrl,
      webSocketImpl: WebSocket,
      retryAttempts: 1_000,
      // While nothing listens, `ws` gives an error event, where a browser gives a close.
      shouldRetry: () => true,
      // As docs/examples/live.mjs does: the close says when to reconnect, the cursor where to resume.
      retryWait: async () => {
        waits.push(hint);
        await new Promise((done) => setTimeout(done, hint ?? 50));
        hint = undefined;
      },
      on: { closed: ({ code, reason }) => { if (code === 1001) hint = JSON.parse(reason).retryAfterMs; } },
    });
    const variables = { after: start };
    const seen = [];
    let failure;
    const stop = client.subscribe({ query: ACTIVITY, variables }, {
      next: ({ data: { activity } }) => { seen.push(activity.id); variables.after = activity.cursor; },
      error: (error) => { failure = error; },
      complete: () => {},
    });
    let posted = 0;
    let stopped = false;
    const traffic = (async () => {
      while (!stopped) {
        // While it restarts, nothing can be done to the stand-ins, which are a part of it.
        const done = await dev.act('slack', 'post_message', { channel: 'general', text: `Message ${posted}` }).then(() => true, () => false);
        posted += Number(done);
      }
    })();
    try {
      for (let round = 0; round < 3; round += 1) {
        const before = seen.length;
        await until(() => seen.length > before + 5, () => `traffic: ${failure ? inspect(failure) : seen.length}`);
        if (round < 2) await dev.restart();
      }
    } finally {
      stopped = true;
      await traffic;
    }
    // An act that a restart cut off may have happened all the same: the last thing to happen is waited for.
    await dev.act('github', 'star', { repository: 'acme/web' });
    const fresh = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
    const whole = collect(fresh.iterate({ query: ACTIVITY, variables: { after: start } }));
    const { data: { activity: last } } = await whole.find(({ data: { activity } }) => activity.kind.startsWith('star'), 'the star');
    const ids = whole.items.map(({ data: { activity } }) => activity.id);
    await until(() => seen.includes(last.id), () => `the star after ${seen.length}`);
    assert.ok(ids.length > posted);
    assert.deepEqual(seen, ids, `${seen.length} of ${ids.length}, ${new Set(seen).size} different`);
    assert.equal(failure, undefined);
    assert.equal(waits.filter((wait) => Number.isInteger(wait) && wait <= 1_000).length, 2, JSON.stringify(waits));
    stop();
    await whole.stop();
    await client.dispose();
    await fresh.dispose();
  });

  test('an event stream says when to come back', async () => {
    const response = await fetch(dev.streamUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: ACTIVITY }) });
    const text = response.text();
    await dev.restart();
    assert.match(await text, /\nretry: \d+\n\n$/);
  });
});

describe('subscriptions in parts', () => {
  let dev;
  let client;
  before(async () => {
    dev = await startDev({ env: { MULLION_LIVE_EVENT_STREAM_KEEP_ALIVE_SECONDS: '1' } });
    client = new ApolloClient({ link: new HttpLink({ uri: dev.graphqlUrl }), cache: new InMemoryCache() });
  });
  after(async () => {
    client?.stop();
    await dev?.stop();
  });
  const follow = (after) => {
    const results = [];
    const subscription = client.subscribe({ query: gql(ACTIVITY), variables: { after }, errorPolicy: 'all' }).subscribe({ next: (result) => results.push(result), complete: () => results.push('complete') });
    return { results, stop: () => subscription.unsubscribe(), ids: () => results.map((result) => result.data?.activity.id) };
  };
  const parts = (body) => fetch(dev.graphqlUrl, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json' }, body: JSON.stringify(body) });

  test('Apollo Client follows over HTTP, and resumes after a cursor', async () => {
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    const live = follow(eventCursor);
    await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'In parts' });
    await dev.act('slack', 'post_message', { channel: 'general', text: 'In parts' });
    await until(() => live.results.length >= 2, () => JSON.stringify(live.results));
    assert.equal(await metric(dev, 'mullion_open_sockets{transport="multipart"}'), 1);
    const resumed = follow(live.results[0].data.activity.cursor);
    await until(() => resumed.results.length >= 1, () => JSON.stringify(resumed.results));
    assert.equal(resumed.ids()[0], live.ids()[1]);
    live.stop();
    resumed.stop();
    await until(async () => await metric(dev, 'mullion_open_sockets{transport="multipart"}') === 0, 'the end of both');
  });

  test('Apollo Client shows what is wrong', async () => {
    const wrong = follow('no-cursor');
    await until(() => wrong.results.length > 0, 'an error');
    assert.equal(wrong.results[0].error.errors[0].extensions.code, 'BAD_USER_INPUT', JSON.stringify(wrong.results));
    wrong.stop();
  });

  test('a quiet one is kept alive; a query of the same client is one JSON answer', async () => {
    const response = await parts({ query: ACTIVITY });
    assert.equal(response.headers.get('content-type'), 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0');
    assert.equal(response.headers.get('content-encoding'), null);
    let text = '';
    for await (const chunk of response.body) {
      text += Buffer.from(chunk).toString();
      if (text.includes('{}')) break;
    }
    assert.ok(text.startsWith('\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql'), JSON.stringify(text));
    const answer = await parts({ query: '{ eventCursor }' });
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.ok((await answer.json()).data.eventCursor);
  });

  test('the answers of a subscription that ends close with the last boundary', async () => {
    const { createDashboard: { dashboard } } = data(await dev.query('mutation { createDashboard(input: { name: "Short-lived" }) { dashboard { id } } }'));
    const { addWidget } = data(await dev.query('mutation ($id: ID!) { addWidget(input: { dashboardId: $id, title: "Gone soon", source: { activity: {} } }) { widget { id } } }', { id: dashboard.id }));
    const response = await parts({ query: 'subscription ($id: ID!) { widgetUpdated(id: $id) { reason } }', variables: { id: addWidget.widget.id } });
    const text = response.text();
    data(await dev.query('mutation ($id: ID!) { removeWidget(id: $id) { __typename } }', { id: addWidget.widget.id }));
    assert.match(await text, /"REMOVED".*\r\n--graphql--\r\n$/s);
  });

  test('at the end of the process a fatal error says when to come back', async () => {
    const live = follow();
    await until(async () => await metric(dev, 'mullion_open_sockets{transport="multipart"}') === 1, 'a start');
    const raw = (await parts({ query: ACTIVITY })).text();
    await dev.restart();
    await until(() => live.results.length > 0, 'an end');
    assert.match(JSON.stringify(live.results[0].error), /restarts/, JSON.stringify(live.results));
    assert.match(await raw, /\{"payload":null,"errors":\[\{"message":"[^"]+","extensions":\{"code":"SERVER_RESTARTS","retryAfterMs":\d+\}\}\]\}\r\n--graphql--\r\n$/);
  });
});

/** A socket that follows one subscription: the reasons that came, and the last payload as text. */
async function follow(url, payload) {
  const raw = await socket(url, { init: true });
  const reasons = [];
  let last = '';
  raw.web.removeAllListeners('message');
  raw.web.on('message', (bytes) => {
    last = bytes.toString();
    const reason = /"reason":"([A-Z_]+)"/.exec(last);
    if (reason) reasons.push(reason[1]);
  });
  raw.send({ type: 'subscribe', id: '1', payload });
  return { web: raw.web, reasons, last: () => last };
}
