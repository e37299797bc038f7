// A provider that hangs or fails, as clients see it: what is known comes at once and is marked, and what is new follows.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { socket, widgetId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

/** How long a fetch is waited for where an older value is known. */
const PATIENCE_MS = 200;
/** How long the provider hangs. */
const HANGS_MS = 2_000;

let dev;
before(async () => { dev = await startDev({ env: { MULLION_UPSTREAM_PATIENCE_MILLISECONDS: String(PATIENCE_MS), MULLION_LIVE_POLL_SECONDS: '86400' } }); });
after(() => dev?.stop());
beforeEach(() => dev.clearFaults());

describe('a provider that hangs', () => {
  const REFRESH = 'mutation ($id: ID!) { refreshWidget(id: $id) { widget { id } } }';
  const SHOWN = 'widget { state problems { code } ... on PullRequestsWidget { pullRequests(first: 3) { nodes { title freshness { staleBecause } } } } }';

  test('shows a live widget as stale at once, and as current when it answers, although nothing changed', async () => {
    const id = await widgetId(dev, 'PullRequestsWidget');
    const query = `subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason ${SHOWN} } }`;
    const live = await socket(dev.socketUrl, { init: true });
    live.send({ id: '1', type: 'subscribe', payload: { query, variables: { id } } });
    const updates = () => live.messages.filter(({ type }) => type === 'next').map(({ payload }) => payload.data.widgetUpdated);
    const widgets = () => updates().filter(({ widget }) => widget);
    await until(() => updates().some(({ reason }) => reason === 'SNAPSHOT_END'), 'the snapshot');
    // The stand-in of a busy machine may answer later than a live operation waits.
    const { widget: before } = await until(() => widgets().findLast(({ widget }) => widget.state === 'READY'), 'what the provider says');
    const seen = widgets().length;
    await dev.fault({ provider: 'github', kind: 'latency', latencyMs: HANGS_MS });
    const began = Date.now();
    data(await dev.query(REFRESH, { id }));
    const stale = await until(() => widgets().slice(seen).find(({ widget }) => widget.state === 'STALE'), 'what is known');
    assert.ok(Date.now() - began < HANGS_MS, 'before the provider answered');
    assert.deepEqual(stale.widget.problems.map(({ code }) => code), ['PROVIDER_UNAVAILABLE']);
    assert.deepEqual(stale.widget.pullRequests.nodes.map(({ freshness }) => freshness.staleBecause), ['TIMEOUT', 'TIMEOUT', 'TIMEOUT']);
    const current = await until(() => widgets().slice(seen).find(({ widget }) => widget.state === 'READY'), 'what the provider says');
    assert.deepEqual(current.widget, before);
    live.close();
  });

  test('is waited for where nothing is known, and a failure in the end is an error and not null', async () => {
    const document = '{ asana { projects(first: 50) { nodes { name } pageInfo { hasNextPage } } } }';
    await dev.fault({ provider: 'asana', kind: 'server_error' });
    const failed = await dev.query(document);
    assert.deepEqual(failed.data, { asana: { projects: null } });
    assert.deepEqual(failed.errors.map(({ path, extensions }) => [path, extensions.code]), [[['asana', 'projects'], 'PROVIDER_UNAVAILABLE']]);
    await dev.clearFaults();
    await dev.fault({ provider: 'asana', kind: 'latency', latencyMs: PATIENCE_MS * 3 });
    const projects = await until(async () => (await dev.query(document)).data.asana?.projects, 'the circuit to close');
    assert.ok(projects.nodes.length > 3 && !projects.pageInfo.hasNextPage, JSON.stringify(projects));
  });

  test('is asked again by a refresh of a widget that names no containers', async () => {
    const { createDashboard } = data(await dev.query('mutation { createDashboard(input: { name: "All" }) { dashboard { id } } }'));
    const added = data(await dev.query(`mutation ($id: ID!) { addWidget(input: { dashboardId: $id, title: "All", source: { workItems: {} } }) { widget { id } } }`, { id: createDashboard.dashboard.id }));
    const { id } = added.addWidget.widget;
    const refreshed = async () => data(await dev.query('mutation ($id: ID!) { refreshWidget(id: $id) { widget { state problems { code } ... on WorkItemsWidget { items(first: 3) { nodes { key } } } } } }', { id })).refreshWidget.widget;
    await until(async () => (await refreshed()).state === 'READY', 'all containers to be read');
    await dev.fault({ provider: 'github', kind: 'server_error' });
    await dev.fault({ provider: 'asana', kind: 'server_error' });
    const widget = await refreshed();
    assert.deepEqual([widget.state, widget.items.nodes.length, new Set(widget.problems.map(({ code }) => code))], ['STALE', 3, new Set(['PROVIDER_UNAVAILABLE'])]);
    await dev.clearFaults();
    await until(async () => (await refreshed()).state === 'READY', 'the providers to be asked again');
  });
});

describe('a channel', () => {
  test('is found by name among those that were listed, while the provider fails', async () => {
    const named = (alias) => `{ slack { channel(name: "#General") { ${alias}: name freshness { source staleBecause } } } }`;
    data(await dev.query('{ slack { channels(first: 50) { nodes { name } } } }'));
    await dev.fault({ provider: 'slack', kind: 'server_error' });
    const { channel } = data(await dev.query(named('one'))).slack;
    assert.equal(channel.one, 'general');
    // For a moment the list that was just read answers, as current; later it answers as what was known.
    assert.match(channel.freshness.source, /^(CACHE|STALE)$/);
    await dev.clearFaults();
    await until(async () => data(await dev.query(named('two'))).slack.channel.freshness.source !== 'STALE', 'the present');
  });
});
