// Numbers against the stand-ins' own worlds: totals are what paging gives, metrics are what a recomputation gives, times have one form.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DASHBOARD, dashboardId } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id } } }';
const ADD = 'mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }';
const PAGE = 'query ($filter: WorkItemFilter, $order: WorkItemOrder, $first: Int, $after: String) { workItems(filter: $filter, orderBy: $order, first: $first, after: $after) { totalCount problems { code message } nodes { __typename id nativeId } pageInfo { hasNextPage endCursor } } }';
const COUNTS = 'query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { items(first: 1) { totalCount } countsByState { state count } } } }';
const METRIC = 'query ($id: ID!) { node(id: $id) { ... on MetricWidget { state problems { code message } metric { value previous series { at value } } } } }';
const KINDS = ['OPEN_PULL_REQUESTS', 'MEDIAN_TIME_TO_MERGE', 'BUILD_SUCCESS_RATE', 'OPEN_WORK_ITEMS', 'COMPLETED_WORK_ITEMS', 'MESSAGES'];
const DAY = 86_400_000;

let dev;
let board;
let repositories;
let projects;
/** All issues, pull requests and tasks as the stand-ins have them: `{ type, opened, closed }` by native id. */
let world;

async function rest(path) {
  const response = await fetch(`${dev.sandbox}${path}`, { headers: { authorization: 'Bearer any', accept: 'application/json' } });
  assert.equal(response.status, 200, path);
  return response.json();
}

async function readWorld() {
  const found = new Map();
  const note = (id, type, opened, closed) => found.set(id, { type, opened: Date.parse(opened), closed: closed ? Date.parse(closed) : undefined });
  for (const { nameWithOwner } of repositories) {
    for (let page = 1, items; items?.length !== 0; page += 1) {
      items = await rest(`/github/repos/${nameWithOwner}/issues?state=all&per_page=100&page=${page}`);
      for (const item of items) note(item.node_id, item.pull_request ? 'PULL_REQUEST' : 'ISSUE', item.created_at, item.closed_at);
    }
  }
  for (const { gid } of projects) {
    const { data: tasks } = await rest(`/asana/api/1.0/projects/${gid}/tasks?limit=100&opt_fields=created_at,completed_at`);
    for (const task of tasks) note(task.gid, 'TASK', task.created_at, task.completed_at);
  }
  return [...found.values()];
}

async function widget(source) {
  const { widget: { id } } = data(await dev.query(ADD, { input: { dashboardId: board, title: 'Numbers', source } })).addWidget;
  return id;
}

async function metric(kind, window = 'P7D', containerIds = undefined) {
  const id = await widget({ metric: { metric: kind, window, containerIds } });
  return { id, ...data(await dev.query(METRIC, { id })).node };
}

before(async () => {
  dev = await startDev();
  board = await dashboardId(dev);
  const answer = data(await dev.query('{ github { repositories(first: 100) { nodes { id nativeId nameWithOwner } } } asana { projects(first: 100) { nodes { id gid: nativeId } } } }'));
  repositories = answer.github.repositories.nodes;
  projects = answer.asana.projects.nodes;
  world = await readWorld();
});
after(() => dev?.stop());

describe('metrics of the seeded world', () => {
  test('have a value, an earlier one and a series each', async () => {
    for (const kind of KINDS) {
      const { state, problems, metric: { value, previous, series } } = await metric(kind);
      assert.deepEqual({ state, problems }, { state: 'READY', problems: [] }, kind);
      assert.ok(typeof value === 'number' && typeof previous === 'number' && series.length > 0, JSON.stringify({ kind, value, previous, series }));
    }
  });

  test('count what was open at each time', async () => {
    for (const [kind, types] of [['OPEN_PULL_REQUESTS', ['PULL_REQUEST']], ['OPEN_WORK_ITEMS', ['ISSUE', 'TASK']]]) {
      for (const [window, length] of [['P7D', 7 * DAY], ['P30D', 30 * DAY], ['P90D', 90 * DAY]]) {
        const { metric: { value, previous, series } } = await metric(kind, window);
        const openAt = (time) => world.filter(({ type, opened, closed }) => types.includes(type) && opened <= time && !(closed <= time)).length;
        const now = Date.parse(series.at(-1).at);
        assert.deepEqual({ value, previous }, { value: openAt(now), previous: openAt(now - length) }, `${kind} ${window}`);
        assert.deepEqual(series.map(({ value }) => value), series.map(({ at }) => openAt(Date.parse(at))), `${kind} ${window}`);
      }
    }
  });

  test('fall when something is closed, and what was before stays', async () => {
    const { id, metric: before } = await metric('OPEN_WORK_ITEMS');
    const { nodes } = data(await dev.query('{ github { repository(owner: "acme", name: "web") { issues(first: 100, states: [OPEN]) { nodes { number } } } } }')).github.repository.issues;
    const oldest = Math.min(...nodes.map(({ number }) => number));
    await dev.act('github', 'close_issue', { repository: 'acme/web', number: oldest });
    const after = await until(async () => {
      const { metric } = data(await dev.query(METRIC, { id })).node;
      return metric.value === before.value - 1 && metric;
    }, 'a smaller number');
    assert.equal(after.previous, before.previous);
    assert.equal(after.series.at(-1).value, before.value - 1);
    assert.equal(after.series.at(-2).value, before.series.at(-2).value);
    world = await readWorld();
  });
});

describe('totals', () => {
  /** The same numbers in every run. */
  let seed = 20_261_130;
  const below = (limit) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor(((seed >>> 8) / 2 ** 24) * limit);
  };
  const some = (values) => values.filter(() => below(2) === 1);
  const maybe = (value) => (below(2) === 1 ? value() : undefined);

  function randomFilter() {
    return {
      providers: below(4) === 0 ? some(['github', 'asana']) : undefined,
      types: maybe(() => some(['ISSUE', 'TASK', 'PULL_REQUEST'])),
      states: maybe(() => some(['TODO', 'IN_PROGRESS', 'DONE', 'CANCELED'])),
      containerIds: maybe(() => some([...repositories, ...projects]).map(({ id }) => id)),
      labels: below(4) === 0 ? some(['BUG', 'documentation', 'nothing like it']) : undefined,
      text: below(4) === 0 ? ['a', 'the', 'Fix'][below(3)] : undefined,
      assignedToMe: below(6) === 0 ? below(2) === 1 : undefined,
      dueBefore: below(8) === 0 ? '2100-01-01' : undefined,
    };
  }

  async function agree(filter, order) {
    const told = JSON.stringify({ filter, order });
    const ids = [];
    let after = null;
    for (;;) {
      const { workItems } = data(await dev.query(PAGE, { filter, order, first: 100, after }));
      assert.deepEqual(workItems.problems, [], told);
      ids.push(...workItems.nodes.map((node) => `${node.__typename}:${node.nativeId}`));
      const count = workItems.totalCount;
      assert.ok(Number.isInteger(count), told);
      if (!workItems.pageInfo.hasNextPage) {
        assert.equal(count, ids.length, told);
        break;
      }
      assert.ok(workItems.pageInfo.endCursor, told);
      after = workItems.pageInfo.endCursor;
    }
    assert.equal(new Set(ids).size, ids.length, `${told}: an item is there twice`);
    const id = await widget({ workItems: { filter } });
    const { items, countsByState } = data(await dev.query(COUNTS, { id })).node;
    assert.equal(items.totalCount, ids.length, told);
    assert.equal(countsByState.reduce((sum, { count }) => sum + count, 0), ids.length, told);
    await dev.query('mutation ($id: ID!) { removeWidget(id: $id) { __typename } }', { id });
    return ids.length;
  }

  async function agreeOnMany(rounds) {
    for (let round = 0; round < rounds; round += 1) {
      const order = { field: ['UPDATED_AT', 'CREATED_AT', 'DUE_ON'][below(3)], direction: ['ASC', 'DESC'][below(2)] };
      await agree(randomFilter(), order);
    }
  }

  test('are what paging gives and what the states add up to', async () => {
    const everything = await agree({ types: ['ISSUE', 'TASK', 'PULL_REQUEST'] }, undefined);
    assert.equal(everything, world.length, 'each thing of the world once');
    await agreeOnMany(25);
  });

  test('count a thing once when its account is connected twice', async () => {
    for (const [provider, path] of [['github', '/github'], ['asana', '/asana/api/1.0']]) {
      data(await dev.query(CONNECT, { input: { provider, name: `${provider} again`, token: `another-token-of-${provider}`, baseUrl: `${dev.sandbox}${path}` } }));
    }
    const everything = await agree({ types: ['ISSUE', 'TASK', 'PULL_REQUEST'] }, undefined);
    assert.equal(everything, world.length);
    await agreeOnMany(15);
    const open = world.filter(({ type, closed }) => type !== 'PULL_REQUEST' && closed === undefined).length;
    assert.equal((await metric('OPEN_WORK_ITEMS')).metric.value, open);
  });
});

describe('answers', () => {
  test('write all times in one form', async () => {
    const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
    const times = [];
    const walk = (value) => {
      if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) times.push(value);
      else if (value && typeof value === 'object') Object.values(value).forEach(walk);
    };
    walk(data(await dev.query(DASHBOARD, { first: 20 })));
    walk(data(await dev.query('{ integrations(first: 10) { nodes { connectedAt updatedAt } } slack { channels(first: 3) { nodes { createdAt messages(first: 3) { nodes { sentAt createdAt freshness { fetchedAt } } } } } } }')));
    assert.ok(times.length > 50);
    assert.deepEqual(times.filter((time) => !form.test(time)), []);
  });

  test('name the providers that there are where a filter names another', async () => {
    const documents = [
      '{ workItems(filter: { providers: ["github", "gitlab"] }) { totalCount } }',
      '{ activity(filter: { providers: ["gitlab"] }) { nodes { id } } }',
      '{ integrations(provider: "gitlab") { nodes { id } } }',
    ];
    for (const document of documents) {
      const { errors } = await dev.query(document);
      assert.equal(errors?.[0].extensions.code, 'BAD_USER_INPUT', document);
      assert.match(errors[0].message, /github/, document);
    }
  });
});
