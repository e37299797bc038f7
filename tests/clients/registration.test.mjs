// An account of each provider is connected, its webhooks are registered at the provider, arrive, and are gone after it is disconnected.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { data, startDev, until } from './harness.mjs';

const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id accountName status webhookUrl provider { key } } webhookSecret } }';
const REGISTER = 'mutation ($id: ID!, $of: [ID!]!) { registerWebhooks(integrationId: $id, containerIds: $of) { integration { id webhookUrl } webhookSecret } }';
const DISCONNECT = 'mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }';
const BASES = { github: '/github', slack: '/slack/api/', asana: '/asana/api/1.0' };

let dev;
const connected = {};
before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

const activities = async (integration) => data(await dev.query('query ($ids: [ID!]) { activity(first: 100, filter: { integrationIds: $ids }) { nodes { kind summary integration { id } subject { __typename id title } } } }', { ids: [integration] })).activity.nodes;
/** What an act sent to addresses that are not the seeded ones. */
const sentTo = ({ deliveries }) => deliveries.filter(({ url }) => !url.endsWith('-dev'));
const post = (url, body, headers = {}) => fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

describe('connectIntegration', () => {
  for (const [provider, base] of Object.entries(BASES)) {
    test(`takes an account of ${provider}, and tells who it is`, async () => {
      const payload = data(await dev.query(CONNECT, { input: { provider, name: `My ${provider}`, token: 'anything', baseUrl: `${dev.sandbox}${base}` } })).connectIntegration;
      connected[provider] = { ...payload.integration, secret: payload.webhookSecret };
      assert.equal(payload.integration.status, 'CONNECTED');
      assert.ok(payload.integration.accountName);
      assert.equal(payload.integration.provider.key, provider);
      assert.match(payload.integration.webhookUrl, new RegExp(`^${dev.url}/webhooks/${provider}/[^/]{16,}$`));
    });
  }

  test('makes the provider ambiguous without an id: the error names the choices', async () => {
    const answer = await dev.query('{ github { integration { id } } }');
    assert.equal(answer.errors?.[0].extensions.code, 'BAD_USER_INPUT');
    assert.ok(answer.errors[0].message.includes('My github') || answer.errors[0].message.includes(connected.github.id), answer.errors[0].message);
  });
});

describe('registerWebhooks', () => {
  test('at GitHub: a generated secret that is told once, then what happens arrives as an activity of that integration', async () => {
    const { id, secret, webhookUrl } = connected.github;
    const { repository } = data(await dev.query('query ($id: ID!) { github(integrationId: $id) { repository(owner: "acme", name: "web") { id } } }', { id })).github;
    const registered = data(await dev.query(REGISTER, { id, of: [repository.id] })).registerWebhooks;
    assert.equal([secret, registered.webhookSecret].filter(Boolean).length, 1, 'the secret is told once');
    assert.ok((secret ?? registered.webhookSecret).length >= 32);
    assert.equal(data(await dev.query(REGISTER, { id, of: [] })).registerWebhooks.webhookSecret, null, 'and never again');
    const mine = sentTo(await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Registered' }));
    assert.deepEqual(mine.map(({ url, status }) => [url, status]), [[webhookUrl, 200]]);
    const activity = await until(async () => (await activities(id)).find(({ subject }) => subject?.title === 'Registered'), 'the activity');
    assert.deepEqual([activity.kind, activity.integration.id, activity.subject.__typename], ['issues.opened', id, 'GithubIssue']);
    connected.github.issue = activity.subject.id;
    assert.deepEqual(sentTo(await dev.act('github', 'open_issue', { repository: 'acme/api', title: 'Not registered' })), []);
    assert.equal((await post(webhookUrl, '{}', { 'x-github-event': 'ping', 'x-hub-signature-256': `sha256=${createHmac('sha256', secret ?? registered.webhookSecret).update('{}').digest('hex')}` })).status, 200, 'it is the secret');
  });

  test('at Asana: a handshake and an endpoint for each project, signed events, and no second handshake', async () => {
    const { id } = connected.asana;
    const { projects } = data(await dev.query('query ($id: ID!) { asana(integrationId: $id) { projects(first: 2) { nodes { id nativeId } } } }', { id })).asana;
    const registered = data(await dev.query(REGISTER, { id, of: projects.nodes.map((project) => project.id) })).registerWebhooks;
    assert.equal(registered.webhookSecret, null, 'Asana gives it');
    const endpoints = [];
    for (const [n, { nativeId }] of projects.nodes.entries()) {
      const mine = sentTo(await dev.act('asana', 'create_task', { project: nativeId, name: `Registered ${n}` }));
      assert.ok(mine.length > 0 && mine.every(({ status }) => status === 200), JSON.stringify(mine));
      assert.equal(new Set(mine.map(({ url }) => url)).size, 1);
      endpoints.push(mine[0].url);
      const activity = await until(async () => (await activities(id)).find(({ kind, subject }) => kind === 'task.added' && subject?.title === `Registered ${n}`), 'the activity');
      assert.equal(activity.subject.__typename, 'AsanaTask');
      connected.asana.task = activity.subject.id;
    }
    assert.equal(new Set([...endpoints, connected.asana.webhookUrl]).size, 3, 'each registration has a path of its own');
    for (const url of [...endpoints, connected.asana.webhookUrl]) {
      const handshake = await post(url, '{}', { 'x-hook-secret': 'planted' });
      assert.equal(handshake.status, 403);
      assert.ok(!handshake.headers.has('x-hook-secret'));
      const events = '{"events":[]}';
      assert.equal((await post(url, events, { 'x-hook-signature': createHmac('sha256', 'planted').update(events).digest('hex') })).status, 401, 'the planted secret signs nothing');
    }
    const after = sentTo(await dev.act('asana', 'create_task', { project: projects.nodes[0].nativeId, name: 'After the refused handshake' }));
    assert.ok(after.length > 0 && after.every(({ status }) => status === 200), 'the secret is what it was');
    connected.asana.endpoints = endpoints;
  });

  test('again is as good as once: everything is told once, at one place', async () => {
    const again = async (provider, of) => data(await dev.query(REGISTER, { id: connected[provider].id, of })).registerWebhooks;
    const { repository } = data(await dev.query('query ($id: ID!) { github(integrationId: $id) { repository(owner: "acme", name: "web") { id } } }', { id: connected.github.id })).github;
    for (const _ of [1, 2]) assert.equal((await again('github', [repository.id])).webhookSecret, null, 'the secret is as it was');
    const github = sentTo(await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Registered again' }));
    assert.deepEqual(github.map(({ url, status }) => [url, status]), [[connected.github.webhookUrl, 200]]);

    const { projects } = data(await dev.query('query ($id: ID!) { asana(integrationId: $id) { projects(first: 1) { nodes { id nativeId } } } }', { id: connected.asana.id })).asana;
    const [project] = projects.nodes;
    for (const _ of [1, 2]) await again('asana', [project.id]);
    const asana = sentTo(await dev.act('asana', 'create_task', { project: project.nativeId, name: 'Registered again' }));
    assert.equal(new Set(asana.map(({ url }) => url)).size, 1, JSON.stringify(asana));
    assert.ok(asana.every(({ status }) => status === 200));
    const [replaced] = connected.asana.endpoints.splice(0, 1, asana[0].url);
    assert.notEqual(asana[0].url, replaced);
    assert.equal((await post(replaced, '{}', {})).status, 404, 'the one before is gone');
    const told = async () => (await activities(connected.asana.id)).filter(({ kind, subject }) => kind === 'task.added' && subject?.title === 'Registered again');
    await until(async () => (await told()).length > 0, 'the activity');
  });

  test('at Slack: a clear error that says what to enter where; by hand it works', async () => {
    const { id, webhookUrl, secret } = connected.slack;
    const { channels } = data(await dev.query('query ($id: ID!) { slack(integrationId: $id) { channels(first: 1) { nodes { id } } } }', { id })).slack;
    const answer = await dev.query(REGISTER, { id, of: [channels.nodes[0].id] });
    assert.equal(answer.errors?.[0].extensions.code, 'BAD_USER_INPUT', JSON.stringify(answer));
    assert.match(answer.errors[0].message, /webhookUrl|\/webhooks\/slack\//);
    assert.match(answer.errors[0].message, /Event Subscriptions|Request URL/, 'where in Slack\'s settings');
    const signing = secret ?? 'signing';
    data(await dev.query('mutation ($id: ID!, $secret: String) { updateIntegration(input: { id: $id, webhookSecret: $secret }) { integration { id } } }', { id, secret: signing }));
    await dev.addWebhook('slack', webhookUrl, signing);
    const mine = sentTo(await dev.act('slack', 'post_message', { channel: 'general', text: 'Entered by hand' }));
    assert.deepEqual(mine.map(({ url, status }) => [url, status]), [[webhookUrl, 200]]);
    await until(async () => (await activities(id)).some(({ kind, summary }) => kind === 'message' && summary.includes('Entered by hand')), 'the activity');
  });
});

describe('disconnectIntegration', () => {
  before(() => dev.restart());

  for (const provider of Object.keys(BASES)) {
    test(`of ${provider}: its endpoints are 404, its ids answer null, and the provider sends nothing any more`, async () => {
      const { id, webhookUrl, endpoints = [], issue, task } = connected[provider];
      assert.equal(data(await dev.query(DISCONNECT, { id })).disconnectIntegration.deletedId, id);
      for (const url of [webhookUrl, ...endpoints]) assert.equal((await post(url, '{}', { 'x-github-event': 'ping' })).status, 404, url);
      for (const gone of [id, issue, task].filter(Boolean)) assert.deepEqual(await dev.query('query ($id: ID!) { node(id: $id) { id } }', { id: gone }), { data: { node: null } });
      assert.ok(!JSON.stringify(data(await dev.query('{ integrations(first: 100) { nodes { id } } }'))).includes(id));
      assert.equal((await dev.query(DISCONNECT, { id })).errors?.[0].extensions.code, 'NOT_FOUND');
      assert.ok(data(await dev.query(`{ ${provider} { integration { id } } }`))[provider], 'the other one is the only one again');
      if (provider === 'slack') return;
      const acted = provider === 'github' ? await dev.act('github', 'open_issue', { repository: 'acme/web' }) : await dev.act('asana', 'create_task', {});
      assert.deepEqual(sentTo(acted), []);
    });
  }
});
