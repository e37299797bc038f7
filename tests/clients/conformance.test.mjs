// Answers conform to the GraphQL specification, the failing ones above all: checked with graphql-js's types, over a table.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parse, validate } from 'graphql';
import { assertConforms, DASHBOARD, schema } from './graphs.mjs';
import { startDev } from './harness.mjs';

const GITHUB = `{ github { id integration { id } viewer { id login displayName }
  web: repository(owner: "acme", name: "web") { nameWithOwner id pullRequests(first: 3) { nodes { title id author { displayName } checks container { name } } pageInfo { hasNextPage } } workflowRuns(first: 2) { nodes { name conclusion } } latestRelease { tagName } }
  none: repository(owner: "acme", name: "no-such-repository") { id name } } __typename }`;
const SLACK = '{ slack { id workspace { name } channels(first: 2) { nodes { name messages(first: 2) { nodes { text author { displayName } channel { name } } } } } channel(name: "general") { id topic } users(first: 2) { nodes { displayName } } } eventCursor }';
const ASANA = '{ asana { id viewer { displayName } workspaces { name isOrganization } projects(first: 2) { nodes { name owner { displayName } sections { name } tasks(first: 2) { nodes { title assignee { displayName } } } taskCounts { total } } } } __typename }';
const MIXED = 'query { items: workItems(first: 5) { problems { code message } nodes { __typename title key ... on GithubIssue { number author { login } } ... on AsanaTask { completed section { name } } } totalCount } viewer { name } }';
const DOCUMENTS = { DASHBOARD, GITHUB, SLACK, ASANA, MIXED };

const FAULTS = [
  [{ kind: 'server_error' }, ['PROVIDER_UNAVAILABLE', 'PROVIDER_ERROR']],
  [{ kind: 'rate_limit', retryAfter: 120 }, ['PROVIDER_RATE_LIMITED']],
  [{ kind: 'unauthorized' }, ['PROVIDER_AUTH_EXPIRED']],
  [{ kind: 'timeout', latencyMs: 50 }, ['PROVIDER_UNAVAILABLE', 'PROVIDER_ERROR']],
];

async function check(dev, document, variables) {
  assert.deepEqual(validate(schema(), parse(document)).map(({ message }) => message), []);
  const answer = await dev.query(document, variables);
  assertConforms(document, answer, { variables });
  assert.deepEqual(Object.keys(answer).filter((key) => !['data', 'errors', 'extensions'].includes(key)), []);
  return answer;
}

for (const [fault, codes] of FAULTS) {
  for (const provider of ['github', 'slack', 'asana']) {
    test(`${provider} with ${fault.kind}: its own part is null with an error, and nothing else is`, { timeout: 120_000 }, async () => {
      const dev = await startDev();
      try {
        await dev.fault({ provider, ...fault });
        const failing = { github: GITHUB, slack: SLACK, asana: ASANA }[provider];
        for (const [name, document] of Object.entries(DOCUMENTS)) {
          const answer = await check(dev, document, { first: 5 });
          for (const { path, extensions } of answer.errors ?? []) {
            assert.ok(path, name);
            assert.ok(codes.includes(extensions.code), `${name}: ${extensions.code}, expected ${codes}`);
            assert.equal(extensions.provider, provider);
            assert.ok(extensions.integrationId);
          }
          if (document === failing) assert.ok(answer.errors?.length > 0, `${name} shows no error`);
          else if (document !== DASHBOARD && document !== MIXED) assert.equal(answer.errors, undefined, `${name}: ${JSON.stringify(answer.errors)}`);
          if (document === DASHBOARD) {
            const { widgets } = answer.data.dashboard;
            const touched = (widget) => widget.integrations.some((integration) => integration.provider.key === provider);
            for (const widget of widgets.filter((each) => !touched(each))) assert.ok(['READY', 'EMPTY'].includes(widget.state), `${widget.title}: ${widget.state}`);
            const hurt = widgets.filter((widget) => touched(widget) && widget.__typename !== 'ActivityWidget');
            assert.ok(hurt.some((widget) => widget.problems.length > 0 && widget.problems.every((problem) => codes.includes(problem.code))), JSON.stringify(hurt.map(({ title, state, problems }) => ({ title, state, problems }))));
            assert.ok(hurt.every((widget) => widget.state !== 'READY' || widget.problems.length > 0 || widget.__typename === 'MetricWidget'));
          }
          if (document === MIXED && provider !== 'slack') {
            assert.ok(answer.data.items.nodes.length > 0, 'the other provider still answers');
            assert.ok(answer.data.items.problems.length > 0);
          }
        }
      } finally {
        await dev.stop();
      }
    });
  }
}

describe('an answer', () => {
  let dev;
  before(async () => {
    dev = await startDev();
  });
  after(() => dev?.stop());

  const operations = {
    'in the order of selection, aliases and repeated fields merged': '{ b: dashboard(slug: "team") { slug name } a: dashboard(slug: "team") { id } __typename b: dashboard(slug: "team") { columns name widgets { title id __typename id } } }',
    'with fragments on interfaces': 'fragment P on ProviderNode { url title } fragment W on WorkItem { state ...P assignees { ...P displayName } } { workItems(first: 5, filter: { types: [ISSUE, TASK, PULL_REQUEST] }) { nodes { ...W key ... on PullRequest { number ...P } ... on GithubIssue { milestone number } __typename } } }',
    'with @skip and @include': '{ dashboard(slug: "team") { id @skip(if: true) slug @include(if: true) name @include(if: false) ... @skip(if: true) { columns } ... @include(if: true) { createdAt } } }',
    'of what is not there: null without an error': '{ dashboard(slug: "none") { id } github { repository(owner: "acme", name: "none") { id } user(login: "nobody-at-all") { login } } slack { channel(name: "none") { id } } asana { task(gid: "1") { title } project(gid: "1") { name } } }',
    'of wrong arguments: an error at the field': '{ a: dashboards(first: 0) { nodes { id } } }',
    'of wrong arguments in a nullable field': '{ a: workItems(first: 101) { nodes { id } } eventCursor b: activity(first: 5, after: "nonsense") { nodes { id } } dashboard(slug: "team") { slug } }',
    'of malformed ids': '{ a: node(id: "nonsense") { id } nodes(ids: ["nonsense", ""]) { id } dashboard(slug: "team") { slug } }',
    'of introspection': '{ __schema { queryType { name fields { name args { name defaultValue } type { kind name ofType { name } } } } subscriptionType { name } } __type(name: "WorkItem") { possibleTypes { name } interfaces { name } } }',
    'of everything at once': DASHBOARD,
  };
  for (const [name, document] of Object.entries(operations)) {
    test(name, () => check(dev, document, { first: 10 }));
  }

  // Valid documents whose variables stand in conditions only, with values, without them (then the default counts) and between others.
  const CONDITIONS = 'query ($yes: Boolean! = true, $no: Boolean = false, $n: Int = 2) { __typename @skip(if: $no) again: __typename @include(if: $no) dashboard(slug: "team") { id @include(if: $yes) ...D __typename @skip(if: $yes) last: __typename @include(if: $yes) @skip(if: $no) } __schema @include(if: $no) { queryType { name } } __type(name: "Query") @include(if: $yes) { name __typename @skip(if: $no) } dashboards(first: $n) { nodes { __typename } } } fragment D on Dashboard { inner: __typename @include(if: $yes) slug @skip(if: $no) }';
  test('with conditions on __typename and other meta fields', async () => {
    for (const variables of [{}, { yes: true, no: false }, { yes: false, no: true, n: 1 }, { yes: false }, { no: true }]) {
      const answer = await check(dev, CONDITIONS, variables);
      assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    }
    const unknown = await dev.query('{ eventCursor __typename @skip(if: $nothing) }');
    assert.equal(unknown.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  });

  test('of values that do not fit has no data: it is the request that is wrong', async () => {
    const table = [
      ['query ($first: Int) { dashboards(first: $first) { totalCount } eventCursor }', { first: 'secret-value' }, 'BAD_USER_INPUT'],
      ['query ($first: Int) { dashboards(first: $first) { totalCount } eventCursor }', { first: 4294967296 }, 'BAD_USER_INPUT'],
      ['query ($f: WorkItemFilter) { workItems(filter: $f) { totalCount } eventCursor }', { f: { dueBefore: 'secret-value' } }, 'BAD_USER_INPUT'],
      ['query ($f: WorkItemFilter) { workItems(filter: $f) { totalCount } eventCursor }', { f: 'secret-value' }, 'BAD_USER_INPUT'],
      ['query ($s: [WorkItemState!], $f: Date) { workItems(filter: { states: $s, dueBefore: $f }) { totalCount } eventCursor }', { f: 'secret-value' }, 'BAD_USER_INPUT'],
      ['{ workItems(filter: { dueBefore: "secret-value" }) { totalCount } eventCursor }', {}, 'GRAPHQL_VALIDATION_FAILED'],
      ['{ workItems(filter: "secret-value") { totalCount } eventCursor }', {}, 'GRAPHQL_VALIDATION_FAILED'],
      ['{ dashboards(first: 4294967296) { totalCount } eventCursor }', {}, 'GRAPHQL_VALIDATION_FAILED'],
    ];
    for (const [query, variables, code] of table) {
      for (const [accept, status] of [['application/json', 200], ['application/graphql-response+json', 400]]) {
        const response = await fetch(`${dev.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', accept }, body: JSON.stringify({ query, variables }) });
        const text = await response.text();
        const answer = JSON.parse(text);
        assert.equal(response.status, status, text);
        assert.ok(!('data' in answer), text);
        assert.equal(answer.errors[0].extensions.code, code, text);
        assert.equal(answer.errors[0].path, undefined);
        assert.ok(!text.includes('secret-value'), text);
      }
    }
  });

  test('of work items over all providers is filtered, sorted and paged together', async () => {
    const document = 'query ($after: String) { workItems(first: 20, after: $after, filter: { states: [TODO, IN_PROGRESS], types: [ISSUE, TASK] }, orderBy: { field: UPDATED_AT, direction: DESC }) { nodes { id __typename state updatedAt provider { key } } pageInfo { hasNextPage endCursor } } }';
    const seen = [];
    let after;
    for (let page = 0; page < 5; page += 1) {
      const { data: { workItems } } = await check(dev, document, { after });
      seen.push(...workItems.nodes);
      if (!workItems.pageInfo.hasNextPage) break;
      after = workItems.pageInfo.endCursor;
    }
    assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length, 'no item twice');
    assert.deepEqual(seen.map(({ updatedAt }) => Date.parse(updatedAt)), seen.map(({ updatedAt }) => Date.parse(updatedAt)).sort((a, b) => b - a));
    assert.deepEqual([...new Set(seen.map(({ provider }) => provider.key))].sort(), ['asana', 'github']);
    assert.ok(seen.every(({ state }) => ['TODO', 'IN_PROGRESS'].includes(state)));
  });
});
