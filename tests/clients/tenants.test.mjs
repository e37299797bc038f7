// Two tenants on one server, each with its own account at the same provider: nothing that one does or signs changes the other, or shows there.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect } from './graphs.mjs';
import { data, startReceiver, startSandbox, startServe, until } from './harness.mjs';

const code = (answer) => answer.errors?.[0]?.extensions?.code;
const REPOSITORY = '{ github { repository(owner: "acme", name: "web") { id nativeId issues(first: 5, states: [OPEN]) { nodes { id nativeId title number } } } } }';
const TITLE = 'query ($id: ID!) { node(id: $id) { __typename ... on GithubIssue { title bodyText updatedAt commentCount } } }';
const ACTIVITY = '{ activity(first: 100) { nodes { id cursor kind summary integration { id } } } }';

let sandbox;
let serve;
let a;
let b;
/** A real delivery of the sandbox, to be changed and signed again. */
let template;

/** A tenant with an admin's key, a GitHub integration and a dashboard of its own. */
async function tenant(name) {
  const key = serve.key(name, 'admin');
  const ask = serve.as(key);
  const secret = `the-secret-of-${name}`;
  const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }', { input: { provider: 'github', name, token: `token-${name}`, webhookSecret: secret, baseUrl: `${sandbox.url}/github` } })).connectIntegration;
  const { dashboard } = data(await ask('mutation { createDashboard(input: { name: "Ours", slug: "ours" }) { dashboard { id } } }')).createDashboard;
  const { repository } = data(await ask(REPOSITORY)).github;
  const { widget } = data(await ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: dashboard.id, title: 'Issues', source: { workItems: { filter: { containerIds: [repository.id], states: ['TODO'] } } } } })).addWidget;
  return { name, key, ask, secret, integration: integration.id, webhookUrl: integration.webhookUrl, dashboard: dashboard.id, widget: widget.id, repository, issues: repository.issues.nodes };
}

let deliveries = 0;
/** Posts a payload to an endpoint, signed with a secret. */
function deliver(url, secret, event, payload) {
  const body = JSON.stringify(payload);
  return fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-github-event': event, 'x-github-delivery': `own-${deliveries += 1}`, 'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` } });
}

/** The sandbox's own payload with another title, an hour newer than everything. */
function forged(title, action = 'edited') {
  const payload = structuredClone(template.payload);
  const at = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z');
  Object.assign(payload, { action });
  Object.assign(payload.issue, { title, updated_at: at });
  if (action === 'closed') Object.assign(payload.issue, { state: 'closed', state_reason: 'completed', closed_at: at });
  return payload;
}

/** A subscription with a tenant's key. */
function watch(whose, document, variables) {
  const client = createClient({ url: serve.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization: `Bearer ${whose.key}` } });
  const live = collect(client.iterate({ query: document, variables }));
  return Object.assign(live, { end: async () => { await live.stop(); await client.dispose(); } });
}

before(async () => {
  sandbox = await startSandbox();
  serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host } });
  const receiver = await startReceiver();
  await sandbox.addWebhook('github', receiver.url, 'unused');
  const number = (await sandbox.act('github', 'open_issue', { repository: 'acme/web', title: 'A draft' })).result.number;
  await sandbox.act('github', 'edit_issue', { repository: 'acme/web', number, title: 'As GitHub has it' });
  const request = await receiver.next(({ headers, body }) => headers['x-github-event'] === 'issues' && JSON.parse(body).action === 'edited', 'issues.edited');
  template = { payload: JSON.parse(request.body) };
  await receiver.stop();
  [a, b] = [await tenant('alpha'), await tenant('beta')];
});
after(() => Promise.all([serve?.stop(), sandbox?.stop()]));

const issueOf = (whose) => whose.issues.find(({ nativeId }) => nativeId === template.payload.issue.node_id);

describe('two tenants', () => {
  test('have different ids for the same thing, and endpoints of their own', () => {
    assert.ok(issueOf(a) && issueOf(b), 'both read the issue');
    assert.equal(issueOf(a).title, 'As GitHub has it');
    assert.notEqual(issueOf(a).id, issueOf(b).id);
    assert.notEqual(a.repository.id, b.repository.id);
    assert.notEqual(a.webhookUrl, b.webhookUrl);
  });

  test('A signs for its endpoint what names the nodes of B: A changes, nothing of B does, and B is told nothing', async () => {
    const before = { title: data(await b.ask(TITLE, { id: issueOf(b).id })), activity: data(await b.ask(ACTIVITY)), widget: data(await b.ask('query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { items(first: 100) { nodes { id title } } countsByState { state count } } } }', { id: b.widget })), head: data(await b.ask('{ eventCursor }')) };
    const lives = [
      watch(b, 'subscription ($after: EventCursor) { activity(after: $after) { kind summary } }', { after: before.head.eventCursor }),
      watch(b, 'subscription ($ids: [ID!]!, $after: EventCursor) { nodeChanged(ids: $ids, after: $after) { deleted node { id ... on ProviderNode { title } } causes { kind } } }', { ids: [issueOf(b).id, b.repository.id], after: before.head.eventCursor }),
      watch(b, 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason causes { kind } widget { ... on WorkItemsWidget { items(first: 100) { nodes { title } } } } } }', { id: b.widget }),
      watch(b, 'subscription ($id: ID!) { dashboardUpdated(id: $id, throttleMs: 0) { reason causes { kind } } }', { id: b.dashboard }),
    ];
    const own = watch(a, 'subscription ($after: EventCursor) { activity(after: $after) { kind summary } }', { after: data(await a.ask('{ eventCursor }')).eventCursor });
    for (const live of lives.slice(2)) await live.find(({ data: frame }) => Object.values(frame)[0].reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    const snapshots = lives.map(({ items }) => items.length);
    assert.deepEqual(snapshots.slice(0, 2), [0, 0]);

    for (const [event, payload] of [['issues', forged('Forged by A')], ['issues', forged('Forged by A', 'closed')], ['issues', { ...forged('Forged by A'), installation: { id: 1 }, tenant: 'beta', integration: b.integration }]]) {
      assert.equal((await deliver(a.webhookUrl, a.secret, event, payload)).status, 200);
    }
    await until(() => own.items.filter(({ data: { activity } }) => /Forged by A/.test(activity.summary)).length >= 2, () => `A's own activities: ${JSON.stringify(own.items)}`);
    assert.notDeepEqual(data(await a.ask(TITLE, { id: issueOf(a).id })), before.title, 'it did something, for A');

    assert.deepEqual(data(await b.ask(TITLE, { id: issueOf(b).id })), before.title);
    assert.deepEqual(data(await b.ask(ACTIVITY)), before.activity);
    assert.deepEqual(data(await b.ask('query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { items(first: 100) { nodes { id title } } countsByState { state count } } } }', { id: b.widget })), before.widget);
    assert.deepEqual(data(await b.ask('{ eventCursor }')), before.head, 'the stream of B did not move');

    // The next event that B hears of is its own, and it is the first that it hears of.
    assert.equal((await deliver(b.webhookUrl, b.secret, 'issues', forged('Told to B'))).status, 200);
    const [activity, node] = [await lives[0].find(() => true, 'an activity'), await lives[1].find(() => true, 'a change')];
    assert.match(activity.data.activity.summary, /Told to B/);
    assert.deepEqual([node.data.nodeChanged.node.id, node.data.nodeChanged.deleted], [issueOf(b).id, false]);
    const changed = await lives[2].find(({ data: { widgetUpdated } }) => widgetUpdated.reason === 'CHANGED', 'a change of the widget');
    assert.ok(changed.data.widgetUpdated.widget.items.nodes.some(({ title }) => title === 'Told to B'));
    assert.equal(lives[2].items.indexOf(changed), snapshots[2], 'the first after the snapshot');
    assert.ok(!JSON.stringify(lives.map(({ items }) => items)).includes('Forged'));
    assert.ok(!JSON.stringify(data(await a.ask(ACTIVITY))).includes('Told to B'));
    await Promise.all([...lives, own].map((live) => live.end()));
  });

  test('a signature with the other\'s secret is 401 at each endpoint, and changes nothing', async () => {
    const heads = [data(await a.ask('{ eventCursor }')), data(await b.ask('{ eventCursor }'))];
    for (const [endpoint, signer] of [[a, b], [b, a]]) {
      for (const event of ['issues', 'ping']) assert.equal((await deliver(endpoint.webhookUrl, signer.secret, event, forged('Signed by another'))).status, 401);
    }
    // Another provider's door is no way in either.
    for (const url of [b.webhookUrl.replace('/github/', '/slack/'), b.webhookUrl.replace('/github/', '/asana/')]) assert.equal((await deliver(url, a.secret, 'issues', forged('x'))).status, 404);
    assert.deepEqual([data(await a.ask('{ eventCursor }')), data(await b.ask('{ eventCursor }'))], heads);
  });

  test('an id of the other answers as one that is unknown, in queries', async () => {
    // Ids that were once B's own and are gone: well-formed, and nobody's.
    const gone = await tenant('gamma');
    data(await gone.ask('mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: gone.dashboard }));
    data(await gone.ask('mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }', { id: gone.integration }));
    const same = (answer, whose) => JSON.stringify(answer).replaceAll(whose.integration, 'X').replaceAll(whose.dashboard, 'X').replaceAll(whose.widget, 'X').replaceAll(whose.repository.id, 'X').replaceAll(issueOf(whose).id, 'X');
    const table = [
      ...['dashboard', 'widget', 'integration'].map((kind) => [`node of a ${kind}`, 'query ($id: ID!) { node(id: $id) { id __typename } }', (whose) => ({ id: whose[kind] })]),
      ['node of a repository', 'query ($id: ID!) { node(id: $id) { id __typename } }', (whose) => ({ id: whose.repository.id })],
      ['node of an issue', TITLE, (whose) => ({ id: issueOf(whose).id })],
      ['nodes', 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', (whose) => ({ ids: [whose.dashboard, whose.integration, issueOf(whose).id] })],
      ['dashboard', 'query ($id: ID!) { dashboard(id: $id) { id name } }', (whose) => ({ id: whose.dashboard })],
      ['github', 'query ($id: ID!) { github(integrationId: $id) { integration { name } viewer { login } } }', (whose) => ({ id: whose.integration })],
      ['workItems', 'query ($id: ID!) { workItems(filter: { containerIds: [$id] }) { nodes { id } problems { code message } } }', (whose) => ({ id: whose.repository.id })],
      ['activity of an integration', 'query ($id: ID!) { activity(filter: { integrationIds: [$id] }) { nodes { id } } }', (whose) => ({ id: whose.integration })],
      ['activity of a container', 'query ($id: ID!) { activity(filter: { containerIds: [$id] }) { nodes { id } } }', (whose) => ({ id: whose.repository.id })],
      ['_entities', 'query ($id: ID!) { _entities(representations: [{ __typename: "GithubIssue", id: $id }]) { __typename } }', (whose) => ({ id: issueOf(whose).id })],
    ];
    for (const [name, document, variables] of table) {
      const [foreign, unknown] = [await a.ask(document, variables(b)), await a.ask(document, variables(gone))];
      assert.equal(same(foreign, b), same(unknown, gone), name);
      assert.ok(!/As GitHub has it|Told to B|beta/.test(JSON.stringify(foreign)), `${name}: ${JSON.stringify(foreign)}`);
    }
    assert.deepEqual((await a.ask('query ($id: ID!) { node(id: $id) { id } }', { id: issueOf(b).id })).data, { node: null });
    assert.deepEqual(data(await a.ask('{ dashboards { nodes { id } } integrations { nodes { id } } }')), { dashboards: { nodes: [{ id: a.dashboard }] }, integrations: { nodes: [{ id: a.integration }] } });
  });

  test('an id of the other is NOT_FOUND in mutations, and nothing happened', async () => {
    const state = () => b.ask('query ($id: ID!) { dashboard(id: $id) { name columns updatedAt widgets { id title updatedAt layout { x y width height } } } integrations { nodes { id name status } } }', { id: b.dashboard });
    const before = await state();
    const source = { workItems: { filter: {} } };
    const table = [
      ['mutation ($id: ID!) { updateDashboard(input: { id: $id, name: "Mine" }) { dashboard { id } } }', { id: b.dashboard }],
      ['mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: b.dashboard }],
      ['mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: b.dashboard, title: 'Mine', source } }],
      ['mutation ($id: ID!) { updateWidget(input: { id: $id, title: "Mine" }) { widget { id } } }', { id: b.widget }],
      ['mutation ($id: ID!) { refreshWidget(id: $id) { widget { id } } }', { id: b.widget }],
      ['mutation ($id: ID!) { removeWidget(id: $id) { deletedId } }', { id: b.widget }],
      ['mutation ($id: ID!, $moves: [MoveWidgetInput!]!) { moveWidgets(dashboardId: $id, moves: $moves) { dashboard { id } } }', { id: b.dashboard, moves: [{ widgetId: b.widget, layout: { x: 0, y: 0, width: 1, height: 1 } }] }],
      ['mutation ($id: ID!, $moves: [MoveWidgetInput!]!) { moveWidgets(dashboardId: $id, moves: $moves) { dashboard { id } } }', { id: a.dashboard, moves: [{ widgetId: b.widget, layout: { x: 0, y: 0, width: 1, height: 1 } }] }],
      ['mutation ($id: ID!) { updateIntegration(input: { id: $id, name: "Mine" }) { integration { id } } }', { id: b.integration }],
      ['mutation ($id: ID!) { updateIntegration(input: { id: $id, webhookSecret: "mine" }) { integration { id } } }', { id: b.integration }],
      ['mutation ($id: ID!, $of: ID!) { registerWebhooks(integrationId: $id, containerIds: [$of]) { integration { id } } }', { id: b.integration, of: b.repository.id }],
      ['mutation ($id: ID!, $of: ID!) { registerWebhooks(integrationId: $id, containerIds: [$of]) { integration { id } } }', { id: a.integration, of: b.repository.id }],
      ['mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }', { id: b.integration }],
    ];
    for (const [document, variables] of table) assert.equal(code(await a.ask(document, variables)), 'NOT_FOUND', document);
    assert.deepEqual(await state(), before);
    assert.equal((await deliver(b.webhookUrl, b.secret, 'ping', { zen: 'Still the same secret' })).status, 200);
  });

  test('a widget of A over containers of B shows nothing of B', async () => {
    const answer = await a.ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id ... on WorkItemsWidget { items(first: 100) { nodes { title } } } } } }', { input: { dashboardId: a.dashboard, title: 'Theirs', source: { workItems: { filter: { containerIds: [b.repository.id] } } } } });
    assert.ok(!/As GitHub has it|Told to B/.test(JSON.stringify(answer)), JSON.stringify(answer));
  });

  test('a cursor of the other is refused as a forged one', async () => {
    const { eventCursor } = data(await b.ask('{ eventCursor }'));
    const live = watch(a, 'subscription ($after: EventCursor) { activity(after: $after) { id } }', { after: eventCursor });
    await until(() => live.ended || live.items.length > 0, 'an answer to the cursor of B');
    await live.end().catch(() => undefined);
    assert.match(JSON.stringify(live.failure ?? live.items), /BAD_USER_INPUT/);
    const { activity } = data(await b.ask('{ activity(first: 1) { pageInfo { endCursor } nodes { id cursor } } }'));
    assert.equal(code(await a.ask('query ($after: String) { activity(first: 10, after: $after) { nodes { id } } }', { after: activity.nodes[0].cursor })), 'BAD_USER_INPUT');
    const paged = await a.ask('query ($after: String) { activity(first: 100, after: $after) { nodes { summary } } }', { after: activity.pageInfo.endCursor });
    assert.ok(!/Told to B/.test(JSON.stringify(paged)));
  });

  test('a subscription of A to things of B is answered as one to what is unknown, and stays silent', async () => {
    const gone = data(await a.ask('mutation { createDashboard(input: { name: "Gone" }) { dashboard { id } } }')).createDashboard.dashboard.id;
    const { widget } = data(await a.ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: gone, title: 'Gone', source: { activity: {} } } })).addWidget;
    data(await a.ask('mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: gone }));
    for (const [document, foreign, unknown] of [['subscription ($id: ID!) { widgetUpdated(id: $id) { reason widget { id } } }', b.widget, widget.id], ['subscription ($id: ID!) { dashboardUpdated(id: $id) { reason widget { id } } }', b.dashboard, gone]]) {
      const answers = [];
      for (const id of [foreign, unknown]) {
        const live = watch(a, document, { id });
        await until(() => live.ended || live.items.length > 0, 'an answer');
        answers.push(live.failure?.map?.(({ message, extensions }) => [message, extensions.code]) ?? live.items[0].data);
        await live.end().catch(() => undefined);
      }
      assert.deepEqual(answers[0], answers[1], document);
      assert.ok(!JSON.stringify(answers).includes(b.widget));
    }
    // From a position that is known: a subscription to changes has no acknowledgement, and what happens before it has begun is not its.
    const heads = [data(await a.ask('{ eventCursor }')).eventCursor, data(await b.ask('{ eventCursor }')).eventCursor];
    const live = watch(a, 'subscription ($ids: [ID!]!, $after: EventCursor) { nodeChanged(ids: $ids, after: $after) { node { id ... on ProviderNode { title } } deleted } }', { ids: [issueOf(b).id, a.repository.id, issueOf(a).id], after: heads[0] });
    const own = watch(b, 'subscription ($after: EventCursor) { activity(after: $after) { kind } }', { after: heads[1] });
    assert.equal((await deliver(b.webhookUrl, b.secret, 'issues', forged('Told to B again'))).status, 200);
    await own.find(() => true, 'the activity of B');
    assert.equal((await deliver(a.webhookUrl, a.secret, 'issues', forged('Told to A', 'reopened'))).status, 200);
    const first = await live.find(() => true, 'a change of A');
    assert.deepEqual(first.data.nodeChanged.node, { id: issueOf(a).id, title: 'Told to A' });
    await live.end();
    await own.end();
  });
});
