// A part of an answer that could not be read is marked: where the client asks for marks by these, else by an error at its field.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { dashboardId, socket, widgetId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

let dev;
before(async () => {
  dev = await startDev();
  // Before anything was read: nothing is known of GitHub.
  await dev.fault({ provider: 'github', kind: 'server_error' });
});
after(() => dev?.stop());

const found = ({ errors = [] }) => errors.map(({ path, extensions }) => [path.join('.'), extensions.code]);

describe('an account that could not be read', () => {
  test('is an error of all work items, or one of their problems, and the list goes on', async () => {
    const plain = await dev.query('{ workItems(first: 5) { nodes { key } pageInfo { hasNextPage } } }');
    assert.deepEqual(found(plain), [['workItems', 'PROVIDER_UNAVAILABLE']]);
    assert.equal(plain.data.workItems.pageInfo.hasNextPage, true);
    const marked = data(await dev.query('{ workItems(first: 5) { problems { code } totalCount pageInfo { hasNextPage } } }'));
    assert.deepEqual(marked.workItems, { problems: [{ code: 'PROVIDER_UNAVAILABLE' }], totalCount: null, pageInfo: { hasNextPage: true } });
  });

  test('is an error of a widget that is not asked for its state', async () => {
    const id = await widgetId(dev, 'PullRequestsWidget');
    const shown = (marks) => dev.query(`query ($id: ID!) { node(id: $id) { ... on PullRequestsWidget { ${marks} pullRequests(first: 3) { nodes { key } pageInfo { hasNextPage } } } } }`, { id });
    const list = { nodes: [], pageInfo: { hasNextPage: true } };
    const plain = await shown('');
    assert.deepEqual(found(plain), [['node.pullRequests', 'PROVIDER_UNAVAILABLE']]);
    assert.deepEqual(plain.data.node.pullRequests, list);
    assert.deepEqual(data(await shown('state')).node, { state: 'FAILED', pullRequests: list });
  });
});

describe('the numbers of a widget', () => {
  test('are null where nothing could be read, and not zero', async () => {
    const { createDashboard } = data(await dev.query('mutation { createDashboard(input: { name: "Numbers" }) { dashboard { id } } }'));
    const source = { workItems: { filter: { providers: ['github'] } } };
    const { addWidget } = data(await dev.query(
      'mutation ($id: ID!, $source: WidgetSourceInput!) { addWidget(input: { dashboardId: $id, title: "GitHub", source: $source }) { widget { state ... on WorkItemsWidget { countsByState { state count } items(first: 3) { totalCount } } } } }',
      { id: createDashboard.dashboard.id, source },
    ));
    assert.deepEqual(addWidget.widget, { state: 'FAILED', countsByState: null, items: { totalCount: null } });
  });
});

describe('containers', () => {
  test('are named by ids of containers, and other ids are refused', async () => {
    const id = await dashboardId(dev);
    for (const field of ['workItems', 'activity']) {
      const { errors } = await dev.query(`query ($ids: [ID!]) { ${field}(filter: { containerIds: $ids }) { nodes { id } } }`, { ids: [id] });
      assert.deepEqual(errors.map(({ path, extensions }) => [path, extensions.code]), [[[field], 'BAD_USER_INPUT']]);
    }
  });
});

describe('an integration that is disconnected', () => {
  test('is gone from cached answers and from live widgets at once', async () => {
    const id = await widgetId(dev, 'MessagesWidget');
    const query = 'query ($id: ID!) { node(id: $id) { ... on MessagesWidget { state messages(first: 3) { nodes { text } } } } }';
    const state = async () => data(await dev.query(query, { id })).node.state;
    assert.deepEqual([await state(), await state()], ['READY', 'READY']);
    const live = await socket(dev.socketUrl, { init: true });
    live.send({ id: '1', type: 'subscribe', payload: { query: 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widget { state } } }', variables: { id } } });
    const updates = () => live.messages.filter(({ type }) => type === 'next').map(({ payload }) => payload.data.widgetUpdated);
    await until(() => updates().some(({ reason }) => reason === 'SNAPSHOT_END'), 'the snapshot');
    const slack = data(await dev.query('{ integrations { nodes { id provider { key } } } }')).integrations.nodes.find(({ provider }) => provider.key === 'slack');
    data(await dev.query('mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }', { id: slack.id }));
    assert.equal(await state(), 'FAILED');
    await until(() => updates().some(({ widget }) => widget?.state === 'FAILED'), 'the widget that failed');
    live.close();
  });
});
