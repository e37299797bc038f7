// Three replicas over one PostgreSQL and one NATS: what one takes in or writes, the others show; and no failure of a part loses anything.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { newDatabase, startNats, startReplicas, startWay } from './cluster.mjs';
import { collect } from './graphs.mjs';
import { data, run, startReceiver, startSandbox, until } from './harness.mjs';

const SECRET = 'the-secret-of-all-replicas';
const ITEMS = '... on WorkItemsWidget { items(first: 50) { nodes { id title } } }';

let sandbox;
let nats;
let way;
let replicas;
let key;
let widget;
let webhookPath;
/** `issues.edited` as the sandbox sends it. */
let template;
let sent = 0;
let delivered = 0;

before(async () => {
  sandbox = await startSandbox();
  nats = await startNats();
  const database = newDatabase();
  const direct = database.href;
  way = await startWay(database.hostname, Number(database.port));
  database.port = way.port;
  replicas = await startReplicas(3, {
    DATABASE_URL: database.href,
    // That of the tests throws its data away, and flushes nothing.
    MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true',
    MULLION_REPLICAS_NATS_URL: nats.url,
    MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host,
  });
  // The command is waited for without letting the way do its work, so it goes without it.
  key = run(['key', 'create', '--tenant', 'acme', '--name', 'admin', '--role', 'admin'], { ...replicas[0].settings, DATABASE_URL: direct }).trim();
  const ask = replicas[0].as(key);
  const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }', { input: { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` } })).connectIntegration;
  webhookPath = new URL(integration.webhookUrl).pathname;
  const { dashboard } = data(await ask('mutation { createDashboard(input: { name: "Ours", slug: "ours" }) { dashboard { id } } }')).createDashboard;
  const receiver = await startReceiver();
  await sandbox.addWebhook('github', receiver.url, 'unused');
  const { number } = (await sandbox.act('github', 'open_issue', { repository: 'acme/web', title: 'A draft' })).result;
  await sandbox.act('github', 'edit_issue', { repository: 'acme/web', number, title: 'Edited' });
  const request = await receiver.next(({ headers, body }) => headers['x-github-event'] === 'issues' && JSON.parse(body).action === 'edited', 'issues.edited');
  template = JSON.parse(request.body);
  await receiver.stop();
  const { repository } = data(await ask('{ github { repository(owner: "acme", name: "web") { id } } }')).github;
  widget = data(await ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: dashboard.id, title: 'Issues', source: { workItems: { filter: { containerIds: [repository.id], states: ['TODO', 'IN_PROGRESS'] } } } } })).addWidget.widget.id;
});
after(async () => {
  await Promise.all([...(replicas ?? []).map((replica) => replica.stop()), sandbox?.stop()]);
  await way?.stop();
  await nats?.stop();
});

/** The body of a delivery that gives the issue a title, each newer than the one before. */
function edited(title) {
  sent += 1;
  const payload = structuredClone(template);
  Object.assign(payload.issue, { title, updated_at: new Date(Date.now() + sent * 1000).toISOString().replace(/\.\d+Z$/, 'Z') });
  return { id: `replicas-${sent}`, body: JSON.stringify(payload) };
}

/** Posts it to a replica; the status, or 0 when nobody answered. */
async function post(replica, { id, body }) {
  const headers = { 'content-type': 'application/json', 'x-github-event': 'issues', 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}` };
  try {
    return (await fetch(`${replica.url}${webhookPath}`, { method: 'POST', body, headers })).status;
  } catch {
    return 0;
  }
}

/** As a provider does: again, at any replica, until one says 2xx. */
async function deliver(delivery, first) {
  let turn = replicas.indexOf(first);
  await until(async () => (await post(replicas[turn++ % replicas.length], delivery)) === 200, `a 2xx for ${delivery.id}`, 60_000);
  delivered += 1;
}

/** A subscription at one replica. */
function watch(replica, document, variables) {
  const client = createClient({ url: replica.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization: `Bearer ${key}` } });
  const live = collect(client.iterate({ query: document, variables }));
  return Object.assign(live, { end: async () => { await live.stop(); await client.dispose(); } });
}
const watchWidget = (replica) => watch(replica, `subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widget { ${ITEMS} } } }`, { id: widget });
const watchActivity = (replica, after) => watch(replica, 'subscription ($after: EventCursor) { activity(after: $after) { id kind cursor subject { title } } }', { after });
const shows = (title) => (item) => item.data.widgetUpdated.widget?.items?.nodes.some((node) => node.title === title);

/** Sends edits, one after the other, at replicas in turn, while `meanwhile` happens; every activity comes exactly once at `seen`. */
async function burst(count, { at = replicas, seen, after, meanwhile = async () => {} }) {
  const lives = seen.map((replica) => watchActivity(replica, after));
  const deliveries = Array.from({ length: count }, (_, number) => edited(`Burst ${sent} of ${number}`));
  const all = (async () => { for (const [number, delivery] of deliveries.entries()) await deliver(delivery, at[number % at.length]); })();
  const before = delivered;
  await meanwhile((more) => until(() => delivered >= before + more, `${more} deliveries`, 60_000));
  await all;
  for (const live of lives) {
    await until(() => { if (live.failure) throw live.failure; return live.items.length >= count; }, () => `${count} activities, only ${live.items.length}`, 60_000);
    const ids = live.items.map((item) => item.data.activity.id);
    assert.equal(new Set(ids).size, ids.length, 'an activity came twice');
    assert.equal(ids.length, count);
    await live.end();
  }
  const title = JSON.parse(deliveries.at(-1).body).issue.title;
  for (const replica of seen) {
    await until(async () => JSON.stringify(await replica.as(key)(`query ($id: ID!) { node(id: $id) { ${ITEMS} } }`, { id: widget })).includes(title), `the last title at every replica`);
  }
}
const cursor = async () => data(await replicas[0].as(key)('{ eventCursor }')).eventCursor;

describe('three replicas', { timeout: 300_000 }, () => {
  test('show at once what another one took in', async () => {
    const lives = replicas.map(watchWidget);
    const activities = replicas.map((replica) => watchActivity(replica));
    for (const live of lives) await live.find((item) => item.data.widgetUpdated.reason === 'SNAPSHOT_END', 'the end of the snapshot');
    await deliver(edited('Taken in by the first'), replicas[0]);
    for (const live of lives) await live.find(shows('Taken in by the first'), 'the new title');
    for (const live of activities) await live.find((item) => item.data.activity.kind === 'issues.edited', 'the activity');
    await Promise.all([...lives, ...activities].map((live) => live.end()));
  });

  test('show what was written at another one', async () => {
    const [first, second, third] = replicas.map((replica) => replica.as(key));
    data(await second('query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { title } } }', { id: widget }));
    data(await first('mutation ($input: UpdateWidgetInput!) { updateWidget(input: $input) { widget { id } } }', { input: { id: widget, title: 'Renamed' } }));
    for (const ask of [second, third]) {
      await until(async () => data(await ask('query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { title } } }', { id: widget })).node.title === 'Renamed', 'the new title');
    }
  });

  test('deliver every activity once while NATS is restarted', async () => {
    await burst(60, { seen: replicas, after: await cursor(), meanwhile: async (reached) => { await reached(15); await nats.stop(); await reached(40); await nats.start(); } });
  });

  test('deliver every activity once while PostgreSQL does not answer for some seconds', async () => {
    await burst(60, { seen: replicas, after: await cursor(), meanwhile: async (reached) => { await reached(20); way.pause(); await new Promise((later) => setTimeout(later, 3_000)); way.resume(); } });
  });

  test('deliver every activity once when one of them dies', async () => {
    const [first, second, third] = replicas;
    await burst(60, { seen: [second, third], after: await cursor(), meanwhile: async (reached) => { await reached(20); first.signal('SIGKILL'); await first.ended(); } });
    await first.restart();
    await burst(5, { seen: replicas, after: await cursor() });
  });
});
