// How many provider calls a query takes, counted by the sandbox. Each case begins with an empty gateway.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DASHBOARD } from './graphs.mjs';
import { data, startDev } from './harness.mjs';

const PULL_REQUESTS = `{ github { repository(owner: "acme", name: "web") { pullRequests(first: 100) { nodes {
  number title author { displayName avatarUrl } requestedReviewers { __typename ... on GithubUser { login displayName } ... on GithubTeam { name } }
  reviewDecision checks assignees { displayName } labels { name }
} } } } }`;

/** Runs `body` on a gateway that has not asked anything yet. */
async function cold(body) {
  const dev = await startDev();
  try {
    const { github, slack, asana } = await dev.stats();
    assert.deepEqual([github.total, slack.total, asana.total], [0, 0, 0], 'without traffic and subscribers it calls nobody on its own');
    await body(dev);
  } finally {
    await dev.stop();
  }
}

/** Calls since the last count. */
async function calls(dev) {
  const stats = await dev.stats();
  await dev.resetStats();
  const paths = Object.entries(stats).flatMap(([provider, { paths }]) => Object.entries(paths).map(([path, count]) => [`${provider} ${path}`, count]));
  return {
    total: Object.values(stats).reduce((sum, { total }) => sum + total, 0),
    paths: Object.fromEntries(paths),
    count: (pattern) => paths.filter(([path]) => pattern.test(path)).reduce((sum, [, count]) => sum + count, 0),
  };
}

/** How many queries were executed: not answered from memory, and not shared with another that was under way. */
async function executions(dev) {
  const text = await (await fetch(`${dev.url}/metrics`)).text();
  return Number(/^mullion_executions_total\{kind="query"\} (\d+)/m.exec(text)[1]);
}

/** How many containers the widgets of a type read. */
async function containers(dev, type) {
  const answer = data(await dev.query(`{ dashboard(slug: "team") { widgets { __typename source {
    __typename ... on BuildsSource { containerIds } ... on MessagesSource { containerIds } ... on WorkItemsSource { workIds: containerIds } ... on PullRequestsSource { containerIds }
  } } } }`));
  const sources = answer.dashboard.widgets.filter((widget) => widget.__typename === type).map((widget) => widget.source);
  return [...new Set(sources.flatMap((source) => source.containerIds ?? source.workIds ?? []))];
}

describe('provider calls', () => {
  test('of the whole dashboard: few when cold, none when warm', () => cold(async (dev) => {
    const first = data(await dev.query(DASHBOARD, { first: 20 }));
    const kinds = new Set(first.dashboard.widgets.map((widget) => widget.__typename));
    assert.ok(kinds.size >= 6, [...kinds].join());
    for (const widget of first.dashboard.widgets) assert.ok(['READY', 'EMPTY'].includes(widget.state), `${widget.title}: ${widget.state} ${JSON.stringify(widget.problems)}`);
    const items = first.dashboard.widgets.find((widget) => widget.__typename === 'WorkItemsWidget').items.nodes;
    assert.ok(items.length > 0);
    const made = await calls(dev);
    const [repositories, channels, work] = [await containers(dev, 'BuildsWidget'), await containers(dev, 'MessagesWidget'), await containers(dev, 'WorkItemsWidget')];
    const told = JSON.stringify(made.paths, null, 1);
    assert.ok(made.count(/^github POST \/graphql/) <= 2, told);
    assert.ok(made.count(/^github (?!POST \/graphql)/) <= repositories.length, told);
    for (const [path, count] of Object.entries(made.paths)) if (/^github GET/.test(path)) assert.equal(count, 1, told);
    assert.ok(made.count(/^slack .*\/users\.list/) <= 1, told);
    assert.ok(made.count(/^slack .*\/conversations\.list/) <= 1, told);
    assert.ok(made.count(/^slack .*\/conversations\.history/) <= channels.length, told);
    assert.equal(made.count(/^slack (?!.*\/(users\.list|conversations\.list|conversations\.history)$)/), 0, told);
    assert.ok(made.count(/^asana /) <= work.length, told);
    assert.deepEqual(data(await dev.query(DASHBOARD, { first: 20 })).dashboard.widgets.map(({ id }) => id), first.dashboard.widgets.map(({ id }) => id));
    const warm = await calls(dev);
    assert.equal(warm.total, 0, JSON.stringify(warm.paths));
    data(await dev.query(DASHBOARD, { first: 7 }));
    assert.equal((await calls(dev)).total, 0, 'another page size needs nothing new');
  }));

  test('of 100 pull requests with authors, reviewers and checks: one, the look-up of the repository included', () => cold(async (dev) => {
    const { github } = data(await dev.query(PULL_REQUESTS));
    assert.equal(github.repository.pullRequests.nodes.length, 100);
    const made = await calls(dev);
    assert.deepEqual(made.paths, { 'github POST /graphql': 1 });
    data(await dev.query(PULL_REQUESTS));
    assert.equal((await calls(dev)).total, 0);
  }));

  test('of 50 concurrent identical queries: no more than of one', async () => {
    let one;
    await cold(async (dev) => {
      data(await dev.query(DASHBOARD, { first: 20 }));
      one = await calls(dev);
    });
    await cold(async (dev) => {
      const before = await executions(dev);
      const answers = await Promise.all(Array.from({ length: 50 }, () => dev.query(DASHBOARD, { first: 20 })));
      assert.equal(await executions(dev) - before, 1, 'the first after a start are executed once too');
      for (const answer of answers) data(answer);
      const made = await calls(dev);
      assert.ok(made.total <= one.total, JSON.stringify({ one: one.paths, fifty: made.paths }, null, 1));
    });
  });

  test('of 50 concurrent documents that differ in fields and in `first`: no more than of one', async () => {
    const fields = ['title', 'number', 'url', 'checks', 'reviewDecision', 'author { displayName }', 'labels { name }', 'headRef', 'updatedAt', 'requestedReviewers { __typename }'];
    const document = (n) => `{ github { repository(owner: "acme", name: "web") { pullRequests(first: ${1 + ((n * 7) % 100)}) { nodes { id ${fields.filter((_, index) => (n >> index % 6) & 1 || index === n % fields.length).join(' ')} } } } } }`;
    let one;
    await cold(async (dev) => {
      data(await dev.query(`{ github { repository(owner: "acme", name: "web") { pullRequests(first: 100) { nodes { id ${fields.join(' ')} } } } } }`));
      one = await calls(dev);
    });
    await cold(async (dev) => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => dev.query(document(n))));
      answers.forEach((answer, n) => assert.equal(data(answer).github.repository.pullRequests.nodes.length, 1 + ((n * 7) % 100)));
      const made = await calls(dev);
      assert.ok(made.total <= one.total, JSON.stringify({ one: one.paths, fifty: made.paths }, null, 1));
    });
  });

  test('of 50 concurrent documents over the dashboard that differ in widgets, fields and `first`: no more than of one', async () => {
    let one;
    await cold(async (dev) => {
      data(await dev.query(DASHBOARD, { first: 100 }));
      one = await calls(dev);
    });
    const parts = [
      '... on WorkItemsWidget { items(first: $first) { nodes { title assignees { displayName } } } }',
      '... on PullRequestsWidget { pullRequests(first: $first) { nodes { title author { displayName } checks } } }',
      '... on BuildsWidget { builds(first: $first) { nodes { name conclusion } } }',
      '... on MessagesWidget { messages(first: $first) { nodes { text author { displayName } } } }',
      '... on ActivityWidget { activity(first: $first) { nodes { summary } } }',
      '... on MetricWidget { metric { value } }',
    ];
    await cold(async (dev) => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => dev.query(`query ($first: Int) { dashboard(slug: "team") { widgets { id ${parts.filter((_, index) => (n + 1) >> index & 1).join(' ')} } } ${n % 2 ? '' : '__typename'} }`.replace('($first: Int)', /\$first/.test(parts.filter((_, index) => (n + 1) >> index & 1).join(' ')) ? '($first: Int)' : ''), { first: 1 + ((n * 13) % 100) })));
      for (const answer of answers) data(answer);
      const made = await calls(dev);
      assert.ok(made.total <= one.total, JSON.stringify({ one: one.paths, fifty: made.paths }, null, 1));
    });
  });
});
