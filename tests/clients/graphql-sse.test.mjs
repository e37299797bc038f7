// The graphql-sse protocol, distinct connections, with the npm client graphql-sse, and with a plain reader of event streams.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-sse';
import { events } from './followers.mjs';
import { collect, dashboardId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

let dev;
let client;
const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor kind } }';

before(async () => {
  dev = await startDev({ env: { MULLION_LIVE_EVENT_STREAM_KEEP_ALIVE_SECONDS: '1' } });
  client = createClient({ url: dev.streamUrl, retryAttempts: 0 });
});
after(async () => {
  client?.dispose();
  await dev?.stop();
});

describe('graphql-sse', () => {
  test('runs a query, and tells errors as an answer', async () => {
    const answers = [];
    for await (const answer of client.iterate({ query: '{ dashboard(slug: "team") { slug } }' })) answers.push(answer);
    assert.deepEqual(answers, [{ data: { dashboard: { slug: 'team' } } }]);
    for await (const answer of client.iterate({ query: '{ nothing }' })) assert.equal(answer.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  });

  test('streams activities', async () => {
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    const live = collect(client.iterate({ query: ACTIVITY, variables: { after: eventCursor } }));
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Over an event stream' });
    await live.find(({ data }) => data.activity.kind === 'message', 'the message');
    await live.stop();
  });

  test('shows a dashboard, and what changes in it', async () => {
    const query = 'subscription ($id: ID!) { dashboardUpdated(id: $id, throttleMs: 0) { reason widget { ... on WorkItemsWidget { items(first: 50) { nodes { title } } } } } }';
    const live = collect(client.iterate({ query, variables: { id: await dashboardId(dev) } }));
    await live.find(({ data }) => data.dashboardUpdated.reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    const title = `Over an event stream ${Date.now()}`;
    await dev.act('github', 'open_issue', { repository: 'acme/web', title });
    await live.find(({ data }) => data.dashboardUpdated.widget?.items?.nodes.some((item) => item.title === title), 'the new issue');
    await live.stop();
  });
});

describe('an event stream', () => {
  test('names the cursor as its events\' id, resumes after Last-Event-ID, and keeps it fresh when nothing happens', async () => {
    const first = await stream({ query: ACTIVITY });
    await dev.act('github', 'star', { repository: 'acme/web', action: 'created' });
    const star = await first.next(({ event }) => event === 'next');
    const { activity } = JSON.parse(star.data).data;
    assert.equal(star.id, activity.cursor);
    const quiet = await first.next(({ event, id }) => !event && id);
    assert.ok(quiet.id);
    first.close();
    await dev.act('slack', 'post_message', { channel: 'general', text: 'While nobody looked' });
    await dev.act('github', 'push', { repository: 'acme/web' });
    const second = await stream({ query: ACTIVITY }, { 'last-event-id': star.id });
    const kinds = [];
    while (!kinds.includes('push')) kinds.push(JSON.parse((await second.next(({ event }) => event === 'next')).data).data.activity.kind);
    assert.ok(kinds.includes('message') && !kinds.includes(activity.kind), kinds.join());
    second.close();
  });

  test('ends a query with `complete`, also by GET', async () => {
    const url = `${dev.streamUrl}?${new URLSearchParams({ query: '{ dashboard(slug: "team") { slug } }' })}`;
    const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    const text = await response.text();
    assert.match(text, /event: next\ndata: \{"data":\{"dashboard":\{"slug":"team"\}\}\}\n\n/);
    assert.match(text, /event: complete\n/);
  });

  test('runs no mutation by GET', async () => {
    const query = 'mutation { createDashboard(input: { name: "x" }) { dashboard { id } } }';
    const response = await fetch(`${dev.streamUrl}?${new URLSearchParams({ query })}`, { headers: { accept: 'text/event-stream' } });
    assert.equal(response.status, 405);
  });

  test('passes compression by: answers come one by one', async () => {
    const live = await stream({ query: ACTIVITY }, { 'accept-encoding': 'gzip, br' });
    assert.equal(live.response.headers.get('content-encoding'), null);
    live.close();
  });
});

/** Reads events as they come: `{ event, data, id }`. */
async function stream(body, headers = {}) {
  const abort = new AbortController();
  const response = await fetch(dev.streamUrl, { method: 'POST', signal: abort.signal, headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...headers }, body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  const heard = [];
  (async () => { for await (const event of events(response.body)) heard.push(event); })().catch(() => {});
  return {
    response,
    async next(wanted) {
      const found = await until(() => heard.find(wanted), () => JSON.stringify(heard));
      heard.splice(0, heard.indexOf(found) + 1);
      return found;
    },
    close: () => abort.abort(),
  };
}
