// issues.closed through a webhook moves the item out of an open-issues widget without asking GitHub, also after a restart.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect, dashboardId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

const ITEMS = 'query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { state items(first: 100) { nodes { id key title stateName } } countsByState { state count } } } }';
let dev;
let widget;

const items = async () => data(await dev.query(ITEMS, { id: widget })).node.items.nodes;
const numberOf = (item) => Number(/#(\d+)$/.exec(item.key)[1]);
const githubCalls = async () => (await dev.stats()).github.total;
const close = (item) => dev.act('github', 'close_issue', { repository: 'acme/web', number: numberOf(item), reason: 'completed' });
const gone = (item) => until(async () => !(await items()).some(({ id }) => id === item.id), `${item.key} is still in the widget`);

before(async () => {
  dev = await startDev();
  const { github } = data(await dev.query('{ github { repository(owner: "acme", name: "web") { id } } }'));
  const source = { workItems: { filter: { providers: ['github'], types: ['ISSUE'], states: ['TODO', 'IN_PROGRESS'], containerIds: [github.repository.id] } } };
  const added = data(await dev.query('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: await dashboardId(dev), title: 'Open issues', source } }));
  widget = added.addWidget.widget.id;
});
after(() => dev?.stop());

describe('a closed issue', () => {
  test('leaves the widget with no call to GitHub', async () => {
    const open = await items();
    assert.ok(open.length > 10 && open.every(({ stateName }) => /open/i.test(stateName)));
    await dev.resetStats();
    await close(open[0]);
    await gone(open[0]);
    assert.equal(await githubCalls(), 0);
    const closed = data(await dev.query('query ($id: ID!) { node(id: $id) { ... on GithubIssue { state closedAt } } }', { id: open[0].id }));
    assert.equal(closed.node.state, 'DONE');
    assert.ok(closed.node.closedAt);
    assert.equal(await githubCalls(), 0);
  });

  test('leaves it before the eyes of a subscriber', async () => {
    const client = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket });
    const live = collect(client.iterate({ query: 'subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason causes { kind } widget { ... on WorkItemsWidget { items(first: 100) { totalCount nodes { id } } } } } }', variables: { id: widget } }));
    const { data: { widgetUpdated: { widget: snapshot } } } = await live.find(({ data }) => data.widgetUpdated.reason === 'SNAPSHOT', 'SNAPSHOT');
    await live.find(({ data }) => data.widgetUpdated.reason === 'SNAPSHOT_END', 'SNAPSHOT_END');
    const [item] = await items();
    await dev.resetStats();
    await close(item);
    const { data: { widgetUpdated } } = await live.find(({ data }) => data.widgetUpdated.reason === 'CHANGED', 'CHANGED');
    assert.ok(!widgetUpdated.widget.items.nodes.some(({ id }) => id === item.id));
    assert.equal(widgetUpdated.widget.items.totalCount, snapshot.items.totalCount - 1);
    assert.deepEqual(widgetUpdated.causes.map(({ kind }) => kind), ['issues.closed']);
    assert.equal(await githubCalls(), 0);
    await live.stop();
    await client.dispose();
  });

  test('is still out after a restart, and the next one leaves too, with no call', async () => {
    const [first, second] = await items();
    await close(first);
    await gone(first);
    await dev.restart();
    await dev.resetStats();
    assert.ok(!(await items()).some(({ id }) => id === first.id));
    await close(second);
    await gone(second);
    assert.equal(await githubCalls(), 0);
  });
});

describe('the numbers of a repository', () => {
  const COUNTS = '{ github { repository(owner: "acme", name: "web") { openIssueCount openPullRequestCount open: issues(states: [OPEN], first: 1) { totalCount } all: pullRequests(first: 1) { totalCount nodes { id } } merged: pullRequests(states: [MERGED], first: 1) { totalCount } } } }';
  const counts = async () => {
    const { openIssueCount, openPullRequestCount, open, all, merged } = data(await dev.query(COUNTS)).github.repository;
    return { issues: openIssueCount, pulls: openPullRequestCount, open: open.totalCount, all: all.totalCount, merged: merged.totalCount };
  };
  const become = async (expected) => {
    let now;
    const same = async () => {
      now = await counts();
      return JSON.stringify(now) === JSON.stringify(expected);
    };
    await until(same, () => JSON.stringify({ now, expected }));
  };

  test('follow what happens', async () => {
    const before = await counts();
    assert.equal(before.issues, before.open);
    await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Counted' });
    await become({ ...before, issues: before.issues + 1, open: before.open + 1 });
    await close((await items())[0]);
    await become(before);
    await dev.act('github', 'open_pull_request', { repository: 'acme/web', title: 'Counted too' });
    const opened = { ...before, pulls: before.pulls + 1, all: before.all + 1 };
    await become(opened);
    await dev.act('github', 'merge_pull_request', { repository: 'acme/web' });
    await become({ ...opened, pulls: opened.pulls - 1, merged: opened.merged + 1 });
  });
});
