// Whether a document is valid: graphql-js says the same over a table, for whatever its rules are about.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parse, validate } from 'graphql';
import { schema } from './graphs.mjs';
import { data, startDev } from './harness.mjs';

let dev;
before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

const ITEMS = (selections) => `{ workItems(first: 1) { nodes { ${selections} } } }`;
const DOCUMENTS = {
  'overlapping fields': [
    '{ dashboard(slug: "team") { name name } }',
    '{ dashboard(slug: "team") { x: name x: slug } }',
    '{ dashboard(slug: "team") { x: name } dashboard(slug: "team") { x: slug } }',
    '{ dashboard(slug: "team") { ...A ...B } } fragment A on Dashboard { x: name } fragment B on Dashboard { x: slug }',
    '{ dashboard(slug: "team") { ...A } ...B } fragment A on Dashboard { x: name } fragment B on Query { dashboard(slug: "team") { x: slug } }',
    '{ dashboards(first: 1) { totalCount } dashboards(first: 2) { totalCount } }',
    '{ dashboards(first: 1) { totalCount } dashboards { totalCount } }',
    'query ($a: Int, $b: Int) { dashboards(first: $a) { totalCount } dashboards(first: $b) { totalCount } }',
    'query ($a: Int) { dashboards(first: $a) { totalCount } dashboards(first: $a) { totalCount } }',
    '{ nodes(ids: ["a"]) { id } nodes(ids: ["a", "b"]) { id } }',
    ITEMS('x: title ... on AsanaTask { x: key }'),
    ITEMS('... on GithubIssue { x: title } ... on AsanaTask { x: key }'),
    ITEMS('... on GithubIssue { x: title } ... on AsanaTask { x: bodyText }'),
    ITEMS('... on GithubIssue { x: title } ... on AsanaTask { x: completed }'),
    ITEMS('... on GithubIssue { x: author { y: displayName } } ... on AsanaTask { x: assignee { y: id } }'),
    ITEMS('... on GithubIssue { comments(first: 1) { totalCount } } ... on AsanaTask { comments(first: 2) { totalCount } }'),
    ITEMS('... on GithubIssue { ... @include(if: true) { x: title } } ... on AsanaTask { ... @include(if: true) { x: key } }'),
    ITEMS('... on GithubIssue { x: author { id } } ... on AsanaTask { x: title }'),
    '{ __schema { types { x: name } types { x: kind } } }',
    '{ __type(name: "A") { name } __type(name: "B") { name } }',
  ],
  values: [
    '{ dashboards(first: "1") { totalCount } }',
    '{ dashboards(first: 5.0) { totalCount } }',
    '{ dashboards(first: 99999999999) { totalCount } }',
    '{ dashboards(first: null) { totalCount } }',
    '{ node(id: null) { id } }',
    '{ node(id: true) { id } }',
    '{ dashboard(slug: TEAM) { id } }',
    '{ workItems(filter: { states: TODO }) { totalCount } }',
    '{ workItems(filter: { states: ["TODO"] }) { totalCount } }',
    '{ workItems(filter: { states: [NOTHING] }) { totalCount } }',
    '{ workItems(filter: { nothing: 1 }) { totalCount } }',
    '{ workItems(filter: { states: TODO, states: DONE }) { totalCount } }',
    '{ workItems(orderBy: { field: DUE_ON }) { totalCount } }',
    'query ($s: [WorkItemState!] = "TODO") { workItems(filter: { states: $s }) { totalCount } }',
    'query ($s: [WorkItemState!] = TODO) { workItems(filter: { states: $s }) { totalCount } }',
    'mutation { addWidget(input: { dashboardId: "a", title: "t", source: {} }) { widget { id } } }',
    'mutation { addWidget(input: { dashboardId: "a", title: "t", source: { activity: {}, builds: {} } }) { widget { id } } }',
    'mutation { addWidget(input: { dashboardId: "a", title: "t", source: { activity: null } }) { widget { id } } }',
    'mutation { createDashboard(input: { name: "\\ud83c\\udf89 \\u{1F389}" }) { dashboard { id } } }',
  ],
  variables: [
    '{ dashboards(first: $a) { totalCount } }',
    'query ($a: Int) { eventCursor }',
    'query ($a: Int, $a: Int) { dashboards(first: $a) { totalCount } }',
    'query ($a: Nothing) { node(id: $a) { id } }',
    'query ($a: Dashboard) { node(id: $a) { id } }',
    'query ($a: ID) { node(id: $a) { id } }',
    'query ($a: ID = "a") { node(id: $a) { id } }',
    'query ($a: ID = null) { node(id: $a) { id } }',
    'query ($a: ID! = null) { node(id: $a) { id } }',
    'query ($a: String!) { node(id: $a) { id } }',
    'query ($a: [ID]!) { nodes(ids: $a) { id } }',
    'query ($a: ID!) { nodes(ids: $a) { id } }',
    'query ($a: ID!) { nodes(ids: [$a]) { id } }',
    'query ($a: ID) { nodes(ids: [$a]) { id } }',
    'query ($a: [WorkItemState!]!) { workItems(filter: { states: $a }) { totalCount } }',
    'query ($a: [WorkItemState!]) { workItems(filter: { states: $a }) { totalCount } }',
    'query ($a: [WorkItemState]) { workItems(filter: { states: $a }) { totalCount } }',
    'query ($a: WorkItemFilter!) { workItems(filter: $a) { totalCount } }',
    'query ($a: [WorkItemState!]! = [TODO]) { workItems(filter: { states: $a }) { totalCount } }',
    'query ($a: WorkItemState) { workItems(filter: { states: [$a] }) { totalCount } }',
    'query ($a: WorkItemState!) { workItems(filter: { states: [$a] }) { totalCount } }',
    'query ($a: Int) { workItems(filter: { states: [$a] }) { totalCount } }',
    'query ($a: WorkItemSortField!) { workItems(orderBy: { field: $a, direction: ASC }) { totalCount } }',
    'query ($a: Boolean) { eventCursor @skip(if: $a) }',
    'query ($a: Boolean = true) { eventCursor @skip(if: $a) }',
    'query ($a: Boolean!) { ...F } fragment F on Query { __typename @include(if: $a) }',
    'query A($a: Boolean!) { ...F @skip(if: $a) } query B { ...F } fragment F on Query { eventCursor }',
    'query A($a: Int) { ...F } query B { ...F } fragment F on Query { dashboards(first: $a) { totalCount } }',
    'query ($a: Int = $b, $b: Int) { dashboards(first: $a) { totalCount } }',
  ],
  fragments: [
    '{ ...F }',
    '{ eventCursor } fragment F on Query { eventCursor }',
    '{ ...F } fragment F on Query { ...F }',
    '{ ...F } fragment F on Query { eventCursor ...G } fragment G on Query { ...F }',
    '{ ...F } fragment F on Nothing { id }',
    '{ ...F } fragment F on WorkItemState { id }',
    '{ ...F } fragment F on Dashboard { id }',
    '{ ...F } fragment F on Query { eventCursor } fragment F on Query { eventCursor }',
    '{ node(id: "a") { ... on Dashboard { id } } }',
    '{ node(id: "a") { ... on Query { eventCursor } } }',
    '{ dashboard(slug: "team") { ... on Node { id } ... on WorkItem { id } } }',
    ITEMS('... on PullRequest { id } ... on Message { id }'),
    '{ ... on String { id } }',
  ],
  'fields, arguments and directives': [
    '{ nothing }',
    '{ dashboard(slug: "team") }',
    '{ eventCursor { id } }',
    ITEMS('milestone'),
    '{ dashboard(slug: "team", nothing: 1) { id } }',
    '{ dashboard(slug: "team", slug: "team") { id } }',
    '{ node { id } }',
    '{ eventCursor @nothing }',
    '{ eventCursor @skip }',
    '{ eventCursor @skip(if: "true") }',
    '{ eventCursor @skip(if: true, nothing: 1) }',
    '{ eventCursor @skip(if: true) @skip(if: true) }',
    'query @include(if: true) { eventCursor }',
    '{ ... @deprecated { eventCursor } }',
  ],
  operations: [
    '{ eventCursor } { eventCursor }',
    '{ eventCursor } query A { eventCursor }',
    'query A { eventCursor } query A { eventCursor }',
    'fragment F on Query { eventCursor }',
    'subscription { activity { id } other: activity { id } }',
    'subscription { activity { id } activity { summary } }',
    'subscription { ...F activity { id } } fragment F on Subscription { other: activity { id } }',
    'subscription { __typename }',
    'subscription { nothing }',
    'mutation { nothing }',
  ],
};

/** Whether the server lets it run; of several operations, any. */
async function accepted(document) {
  const name = /(?:query|mutation|subscription) ([A-Z])\b/.exec(document)?.[1];
  const response = await fetch(`${dev.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json' }, body: JSON.stringify({ query: document, operationName: name }) });
  const { errors } = await response.json();
  return !errors?.some(({ extensions }) => ['GRAPHQL_VALIDATION_FAILED', 'GRAPHQL_PARSE_FAILED'].includes(extensions.code));
}

function valid(document) {
  try {
    return validate(schema(), parse(document)).length === 0;
  } catch {
    return false;
  }
}

describe('a document is valid where graphql-js says so', () => {
  for (const [about, documents] of Object.entries(DOCUMENTS)) {
    test(about, async () => {
      const wrong = [];
      for (const document of documents) {
        const expected = valid(document);
        if (await accepted(document) !== expected) wrong.push(`${expected ? 'is valid' : 'is not valid'}: ${document}`);
      }
      assert.deepEqual(wrong, []);
    });
  }

  test('and what is not valid has errors with a place and without data', async () => {
    const answer = await dev.query('{ dashboard(slug: "team") { x: name }\n  dashboard(slug: "team") { x: slug } }');
    assert.equal(answer.data, undefined);
    assert.deepEqual(answer.errors.map(({ locations, extensions }) => [locations, extensions.code]), [[[{ line: 1, column: 29 }, { line: 2, column: 29 }], 'GRAPHQL_VALIDATION_FAILED']]);
  });
});

describe('persisted queries', () => {
  const hash = async (text) => Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex');
  const extensions = async (text) => ({ persistedQuery: { version: 1, sha256Hash: await hash(text) } });
  const post = async (body) => {
    const response = await fetch(`${dev.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    return { status: response.status, ...await response.json() };
  };

  test('are found by their hash, also after a restart', async () => {
    const query = 'query ($slug: String!) { dashboard(slug: $slug) { slug } }';
    const variables = { slug: 'team' };
    const unknown = await post({ variables, extensions: await extensions(query) });
    assert.deepEqual([unknown.status, unknown.errors[0].message, unknown.errors[0].extensions.code], [200, 'PersistedQueryNotFound', 'PERSISTED_QUERY_NOT_FOUND']);
    const expected = { dashboard: { slug: 'team' } };
    assert.deepEqual(data(await post({ query, variables, extensions: await extensions(query) })), expected);
    assert.deepEqual(data(await post({ variables, extensions: await extensions(query) })), expected);
    await dev.restart();
    assert.deepEqual(data(await post({ variables, extensions: await extensions(query) })), expected);
    const get = await fetch(`${dev.url}/graphql?variables=${encodeURIComponent(JSON.stringify(variables))}&extensions=${encodeURIComponent(JSON.stringify(await extensions(query)))}`, { headers: { accept: 'application/json' } });
    assert.deepEqual(data(await get.json()), expected);
  });

  test('are none of what is no document', async () => {
    for (const query of ['{ nothing }', '{', '{ dashboard(slug: "team") { x: name x: slug } }']) {
      assert.ok((await post({ query, extensions: await extensions(query) })).errors);
      assert.equal((await post({ extensions: await extensions(query) })).errors[0].message, 'PersistedQueryNotFound', query);
    }
  });
});
