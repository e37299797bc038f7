// Events that webhooks did not report are found and filled in: lost on the way, while the server was away, while the webhook was
// switched off.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { newDatabase, startReplicas } from './cluster.mjs';
import { collect, widgetId } from './graphs.mjs';
import { data, startDev, startSandbox, startServe, until } from './harness.mjs';

const OFTEN = { MULLION_RECONCILE_LIVE_SECONDS: '1', MULLION_RECONCILE_SILENT_SECONDS: '1', MULLION_RECONCILE_POLLING_SECONDS: '1', MULLION_RECONCILE_UNWATCHED_SECONDS: '1' };
const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }';
const REGISTER = 'mutation ($id: ID!, $of: [ID!]!) { registerWebhooks(integrationId: $id, containerIds: $of) { integration { id } } }';
const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor kind summary subject { title } } }';
const WIDGET = 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widget { ... on WorkItemsWidget { items(first: 50) { nodes { title } } } ... on MessagesWidget { messages(first: 20) { nodes { text } } } } } }';
const BASES = { github: '/github', slack: '/slack/api/', asana: '/asana/api/1.0' };
const SIGNING = 'the-signing-secret-of-the-app';

/** An account of each provider, with its webhooks, and a widget over a repository, a project and a channel. */
async function connect(ask, sandbox) {
  const world = {};
  for (const [provider, base] of Object.entries(BASES)) {
    const input = { provider, name: provider, token: 'anything', baseUrl: `${sandbox.url}${base}`, ...(provider === 'slack' && { webhookSecret: SIGNING }) };
    world[provider] = data(await ask(CONNECT, { input })).connectIntegration.integration;
  }
  const { repository } = data(await ask('{ github { repository(owner: "acme", name: "web") { id } } }')).github;
  const [project] = data(await ask('{ asana { projects(first: 1) { nodes { id nativeId } } } }')).asana.projects.nodes;
  const channel = data(await ask('{ slack { channels(first: 50) { nodes { id name } } } }')).slack.channels.nodes.find(({ name }) => name === 'general');
  const { dashboard } = data(await ask('mutation { createDashboard(input: { name: "Ours", slug: "ours" }) { dashboard { id } } }')).createDashboard;
  const widget = async (title, source) => data(await ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: dashboard.id, title, source } })).addWidget.widget.id;
  Object.assign(world.github, { container: repository.id, widget: await widget('Issues', { workItems: { filter: { containerIds: [repository.id], states: ['TODO', 'IN_PROGRESS'] } } }) });
  Object.assign(world.asana, { container: project.id, project: project.nativeId, widget: await widget('Tasks', { workItems: { filter: { containerIds: [project.id], states: ['TODO', 'IN_PROGRESS'] } } }) });
  Object.assign(world.slack, { container: channel.id, widget: await widget('Messages', { messages: { containerIds: [channel.id] } }) });
  return world;
}

/** Something happens, with this name. */
const happen = {
  github: (sandbox, world, name) => sandbox.act('github', 'open_issue', { repository: 'acme/web', title: name }),
  asana: (sandbox, world, name) => sandbox.act('asana', 'create_task', { project: world.asana.project, name }),
  slack: (sandbox, world, name) => sandbox.act('slack', 'post_message', { channel: 'general', text: name }),
};

/** Where a counter stands. */
async function metric(admin, name, labels) {
  const text = await (await fetch(`${admin}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`mullion_${name}_total{`) && Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Waits until a provider was looked at so many times more. */
async function rounds(admin, provider, more) {
  const of = () => metric(admin, 'reconcile_rounds', { provider });
  const before = await of();
  await until(async () => await of() >= before + more, `${more} rounds of ${provider}`);
}

function follow(server, key, query, variables) {
  const client = createClient({ url: server.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: key && { authorization: `Bearer ${key}` } });
  const live = collect(client.iterate({ query, variables }));
  return Object.assign(live, { end: async () => { await live.stop(); await client.dispose(); } });
}

/** The activities that told of this name. An act at Asana is several events, each told once. */
const told = (live, name) => live.items.filter(({ data: { activity } }) => JSON.stringify(activity).includes(name) && /issues\.opened|task\.added|^message$/.test(activity.kind));
const summaries = (live, name) => told(live, name).map(({ data: { activity } }) => activity.summary);
const once = (live, name) => {
  const all = summaries(live, name);
  assert.ok(all.length > 0, `${name} was not told`);
  assert.equal(all.length, new Set(all).size, JSON.stringify(all));
};

describe('what did not come', () => {
  let sandbox;
  let serve;
  let key;
  let world;
  let activities;
  const widgets = {};
  let ask;

  before(async () => {
    sandbox = await startSandbox();
    serve = await startServe({ env: { ...OFTEN, MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host } });
    key = serve.key('acme', 'admin');
    ask = serve.as(key);
    world = await connect(ask, sandbox);
    for (const provider of ['github', 'asana']) data(await ask(REGISTER, { id: world[provider].id, of: [world[provider].container] }));
    await sandbox.addWebhook('slack', world.slack.webhookUrl, SIGNING);
    activities = follow(serve, key, ACTIVITY);
    for (const provider of Object.keys(BASES)) {
      widgets[provider] = follow(serve, key, WIDGET, { id: world[provider].widget });
      await widgets[provider].find(({ data: { widgetUpdated } }) => widgetUpdated.reason === 'SNAPSHOT_END', 'a snapshot');
    }
    // From then on it is known up to where each log was read.
    for (const provider of Object.keys(BASES)) await rounds(serve.admin, provider, 3);
  });
  after(async () => {
    await Promise.all([activities, ...Object.values(widgets)].map((live) => live?.end()));
    await serve?.stop();
    await sandbox?.stop();
  });

  const sources = async (provider) => new Set(data(await ask('query ($of: [String!]) { webhookDeliveries(filter: { providers: $of }, first: 100) { nodes { source } } }', { of: [provider] })).webhookDeliveries.nodes.map(({ source }) => source));

  test('is nothing that was there before anybody looked', async () => {
    for (const provider of Object.keys(BASES)) assert.deepEqual([provider, (await sources(provider)).has('LOG')], [provider, false]);
  });

  for (const provider of Object.keys(BASES)) {
    test(`from ${provider} because it was lost on the way reaches who watches, once`, async () => {
      await sandbox.fault({ provider, kind: 'drop' });
      const { deliveries } = await happen[provider](sandbox, world, `Lost ${provider}`);
      assert.ok(deliveries.length > 0 && deliveries.every(({ status }) => status === null), JSON.stringify(deliveries));
      await activities.find(({ data: { activity } }) => JSON.stringify(activity).includes(`Lost ${provider}`), 'its activity');
      await widgets[provider].find((frame) => JSON.stringify(frame).includes(`Lost ${provider}`), 'it in the widget');
      await sandbox.clearFaults();
      await until(async () => await metric(serve.admin, 'reconcile_recovered', { provider }) > 0, 'it to be counted');
      assert.ok((await sources(provider)).has('LOG'));
      // A delivery that comes by itself is not told again when the log is read, and neither is one that was asked for.
      const usual = await happen[provider](sandbox, world, `Usual ${provider}`);
      assert.ok(usual.deliveries.every(({ status }) => status === 200), JSON.stringify(usual.deliveries));
      await activities.find(({ data: { activity } }) => JSON.stringify(activity).includes(`Usual ${provider}`), 'its activity');
      await rounds(serve.admin, provider, 3);
      once(activities, `Lost ${provider}`);
      once(activities, `Usual ${provider}`);
      assert.ok((await sources(provider)).has('WEBHOOK'));
    });
  }

  test('from a repository is found though the log of another one cannot be read', async () => {
    const { repository } = data(await ask('{ github { repository(owner: "acme", name: "api") { id } } }')).github;
    data(await ask(REGISTER, { id: world.github.id, of: [repository.id] }));
    await rounds(serve.admin, 'github', 2);
    await sandbox.fault({ provider: 'github', kind: 'server_error', path: '/repos/acme/web/hooks' });
    await sandbox.fault({ provider: 'github', kind: 'drop' });
    await sandbox.act('github', 'open_issue', { repository: 'acme/api', title: 'Lost beside a fault' });
    await activities.find(({ data: { activity } }) => JSON.stringify(activity).includes('Lost beside a fault'), 'its activity');
    await sandbox.clearFaults();
    await rounds(serve.admin, 'github', 2);
    once(activities, 'Lost beside a fault');
  });

  for (const [provider, action, input] of [
    ['github', 'disable_webhook', () => ({ repository: 'acme/web' })],
    ['github', 'delete_webhook', () => ({ repository: 'acme/web' })],
    ['asana', 'disable_webhook', () => ({ project: world.asana.project })],
    ['asana', 'delete_webhook', () => ({ project: world.asana.project })],
  ]) {
    test(`because ${provider} did ${action.replace('_', ' the ')} is shown, and the webhook is there again`, async () => {
      const name = `${action} ${provider}`;
      const before = await metric(serve.admin, 'webhook_repairs', { provider, result: 'repaired' });
      const { result } = await sandbox.act(provider, action, input());
      assert.equal(result.webhooks.length, 1);
      const { deliveries } = await happen[provider](sandbox, world, name);
      assert.deepEqual(deliveries, []);
      await widgets[provider].find((frame) => JSON.stringify(frame).includes(name), 'it in the widget');
      await until(async () => await metric(serve.admin, 'webhook_repairs', { provider, result: 'repaired' }) > before, 'a repair');
      const again = await happen[provider](sandbox, world, `After ${name}`);
      assert.ok(again.deliveries.length > 0 && again.deliveries.every(({ status }) => status === 200), JSON.stringify(again.deliveries));
      await activities.find(({ data: { activity } }) => JSON.stringify(activity).includes(`After ${name}`), 'its activity');
    });
  }

  test('while the server was away is there when it is back: once for a subscriber with its cursor, and in every answer', async () => {
    for (const provider of Object.keys(BASES)) await rounds(serve.admin, provider, 2);
    const { cursor } = activities.items.at(-1).data.activity;
    await Promise.all([activities, ...Object.values(widgets)].map((live) => live.end()));
    await serve.stop();
    for (const provider of Object.keys(BASES)) {
      const { deliveries } = await happen[provider](sandbox, world, `Away ${provider}`);
      assert.ok(deliveries.length > 0 && deliveries.every(({ status }) => status === null), JSON.stringify(deliveries));
    }
    await serve.restart();
    // Asked before anything was caught up, perhaps: what was read before is not trusted.
    const items = data(await ask('query ($ids: [ID!]) { workItems(first: 50, filter: { containerIds: $ids, states: [TODO, IN_PROGRESS] }) { nodes { title } } }', { ids: [world.github.container, world.asana.container] })).workItems.nodes;
    for (const provider of ['github', 'asana']) assert.ok(items.some(({ title }) => title === `Away ${provider}`), JSON.stringify(items));
    activities = follow(serve, key, ACTIVITY, { after: cursor });
    for (const provider of Object.keys(BASES)) await activities.find(({ data: { activity } }) => JSON.stringify(activity).includes(`Away ${provider}`), `the activity of ${provider}`);
    for (const provider of Object.keys(BASES)) await rounds(serve.admin, provider, 2);
    for (const provider of Object.keys(BASES)) once(activities, `Away ${provider}`);
  });
});

describe('webhookState', () => {
  test('is POLLING without webhooks, LIVE when one came, SILENT when none comes any more', async () => {
    const sandbox = await startSandbox();
    const serve = await startServe({ env: { MULLION_RECONCILE_SILENT_AFTER_SECONDS: '2', MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host } });
    const ask = serve.as(serve.key('acme', 'admin'));
    const { integration } = data(await ask(CONNECT, { input: { provider: 'slack', name: 'Slack', token: 'anything', webhookSecret: SIGNING, baseUrl: `${sandbox.url}/slack/api/` } })).connectIntegration;
    const health = async () => data(await ask('query ($id: ID!) { node(id: $id) { ... on Integration { health { webhookState lastDeliveryAt } } } }', { id: integration.id })).node.health;
    assert.deepEqual(await health(), { webhookState: 'POLLING', lastDeliveryAt: null });
    await sandbox.addWebhook('slack', integration.webhookUrl, SIGNING);
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'A sign of life' });
    // It is in the database a moment after it was acknowledged.
    await until(async () => (await health()).webhookState === 'LIVE', 'LIVE');
    assert.ok((await health()).lastDeliveryAt);
    await until(async () => (await health()).webhookState === 'SILENT', 'SILENT');
    await serve.stop();
    await sandbox.stop();
  });
});

describe('dev --traffic off', () => {
  test('asks a provider only when somebody watches', async () => {
    const dev = await startDev({ env: OFTEN });
    const calls = async () => Object.fromEntries(Object.entries(await dev.stats()).map(([provider, { total }]) => [provider, total]));
    const id = await widgetId(dev, 'MessagesWidget');
    const asked = await calls();
    await dev.fault({ provider: 'slack', kind: 'drop' });
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Nobody watches' });
    // Deliveries that come to nothing, one after another: time enough for many looks.
    for (let n = 0; n < 100; n += 1) await dev.act('github', 'star', { repository: 'acme/web' });
    assert.deepEqual(await calls(), asked);
    const live = follow(dev, undefined, WIDGET, { id });
    await until(async () => (await calls()).slack > asked.slack && await metric(dev.url, 'reconcile_rounds', { provider: 'slack' }) > 0, 'a look at Slack');
    await live.end();
    await dev.stop();
  });
});

describe('of two replicas', () => {
  test('one looks at an integration', async () => {
    const sandbox = await startSandbox();
    const replicas = await startReplicas(2, { ...OFTEN, DATABASE_URL: newDatabase().href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true', MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host });
    const key = replicas[0].key('acme', 'admin');
    const world = await connect(replicas[0].as(key), sandbox);
    const lives = replicas.map((replica) => follow(replica, key, WIDGET, { id: world.slack.widget }));
    const looks = () => Promise.all(replicas.map((replica) => metric(replica.admin, 'reconcile_rounds', { provider: 'slack' })));
    await until(async () => (await looks()).some((count) => count >= 3), 'three looks');
    assert.equal(Math.min(...await looks()), 0, JSON.stringify(await looks()));
    // And what it finds, both show.
    await sandbox.act('slack', 'post_message', { channel: 'general', text: 'For both' });
    for (const live of lives) await live.find((frame) => JSON.stringify(frame).includes('For both'), 'the message');
    for (const live of lives) await live.end();
    await Promise.all([...replicas.map((replica) => replica.stop()), sandbox.stop()]);
  });
});
