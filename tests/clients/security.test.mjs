// The attacks of docs/guide/security.md that a client can send: the twelve of graphql-cop, and documents that ask for more than they show.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { startServe } from './harness.mjs';

let serve;
let keys;
before(async () => {
  serve = await startServe();
  keys = Object.fromEntries(['viewer', 'editor', 'admin'].map((role) => [role, serve.key('acme', role)]));
});
after(() => serve?.stop());

const code = (answer) => answer.errors?.[0]?.extensions?.code;

/** Sends what a viewer's tool would send; gives the status and the answer, parsed if it is JSON. */
async function send(path, { headers, ...options } = {}) {
  const response = await fetch(`${serve.url}${path}`, { ...options, headers: { authorization: `Bearer ${keys.viewer}`, ...headers } });
  const text = await response.text();
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // A page, or nothing.
  }
  return { status: response.status, text, answer };
}
const post = (body) => send('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const ask = (query, variables) => post({ query, variables });
const get = (query, headers) => send(`/graphql?${new URLSearchParams({ query })}`, { headers });

describe('an audit with a viewer\'s key finds nothing', () => {
  const attacks = {
    'a hundred aliases and one': async () => {
      const { answer } = await ask(`{ ${Array.from({ length: 101 }, (_, number) => `a${number}: __typename`).join(' ')} }`);
      assert.equal(code(answer), 'OPERATION_TOO_COMPLEX');
      assert.equal(answer.data, undefined);
    },
    'a batch of ten queries': async () => {
      const { answer } = await post(Array.from({ length: 10 }, () => ({ query: '{ __typename }' })));
      assert.ok(!Array.isArray(answer));
      assert.equal(code(answer), 'BAD_USER_INPUT');
    },
    'introspection in circles': async () => {
      const circle = Array.from({ length: 5 }).reduce((below) => `fields { type { ${below} } }`, 'name');
      const { answer } = await ask(`{ __schema { types { ${circle} } } }`);
      assert.equal(answer.data, undefined);
      assert.equal(code(answer), 'OPERATION_TOO_COMPLEX');
    },
    'ten directives that are not there': async () => {
      const { answer } = await ask(`{ __typename ${'@nothing'.repeat(10)} }`);
      assert.deepEqual([code(answer), answer.errors.length], ['GRAPHQL_VALIDATION_FAILED', 1]);
    },
    'names that the server suggests': async () => {
      for (const query of ['{ __schema { directive } }', '{ dashboad { id } }', '{ dashboard(slag: "a") { id } }']) {
        const { answer, text } = await ask(query);
        assert.equal(code(answer), 'GRAPHQL_VALIDATION_FAILED');
        assert.doesNotMatch(text, /did you mean/i);
      }
    },
    introspection: async () => {
      for (const query of ['{ __schema { types { name } } }', '{ __type(name: "Query") { name } }', '{ _service { sdl } }']) {
        const { answer } = await ask(query);
        assert.deepEqual([code(answer), answer.data], ['FORBIDDEN', undefined], query);
      }
    },
    'a query by GET': async () => {
      const { status, answer } = await get('{ __typename }');
      assert.deepEqual([status, code(answer), answer.data], [400, 'BAD_USER_INPUT', undefined]);
    },
    'a mutation by GET': async () => {
      for (const headers of [{}, { 'x-requested-with': 'audit' }]) {
        const { status, answer } = await get('mutation { __typename }', headers);
        assert.ok(status >= 400, `${status}`);
        assert.equal(answer.data, undefined);
      }
    },
    'a query in a form': async () => {
      const { status, answer } = await send('/graphql', { method: 'POST', body: new URLSearchParams({ query: '{ __typename }' }) });
      assert.deepEqual([status, answer.data], [415, undefined]);
    },
    'a page with a console': async () => {
      for (const path of ['/graphql', '/', '/graphiql', '/playground', '/console']) {
        const { text } = await send(path, { headers: { accept: 'text/html' } });
        assert.doesNotMatch(text, /graphiql|playground/i, path);
      }
    },
    'traces in answers': async () => {
      const { answer } = await ask('{ __typename }');
      assert.deepEqual(answer, { data: { __typename: 'Query' } });
    },
    'exceptions in errors': async () => {
      const { answer, text } = await ask('nonsense a { b }');
      assert.equal(code(answer), 'GRAPHQL_PARSE_FAILED');
      assert.doesNotMatch(text, /exception|stack|panicked|\.rs:/i);
    },
  };
  assert.equal(Object.keys(attacks).length, 12);
  for (const [name, attack] of Object.entries(attacks)) test(name, attack);
});

describe('the description of the graph', () => {
  test('is open to editors and admins', async () => {
    for (const role of ['editor', 'admin']) {
      const answer = await serve.as(keys[role])(getIntrospectionQuery());
      assert.ok(buildClientSchema(answer.data).getType('Dashboard'), role);
      assert.match((await serve.as(keys[role])('{ dashboad { id } }')).errors[0].message, /Did you mean/);
    }
  });
});

describe('a GET', () => {
  test('is answered where a page of another site could not have sent it', async () => {
    for (const headers of [{ 'apollo-require-preflight': 'true' }, { 'x-requested-with': 'us' }, { 'content-type': 'application/json' }]) {
      assert.deepEqual((await get('{ __typename }', headers)).answer, { data: { __typename: 'Query' } });
    }
  });

  test('opens a stream without a header, as an EventSource does', async () => {
    const { status, text } = await send(`/graphql/stream?${new URLSearchParams({ query: '{ __typename }' })}`, { headers: { accept: 'text/event-stream' } });
    assert.equal(status, 200);
    assert.match(text, /"__typename":"Query"/);
  });
});

describe('a document costs what it can bring', () => {
  const ids = (count) => JSON.stringify(Array.from({ length: count }, (_, number) => `id${number}`));
  const issues = 'issues(first: 100) { nodes { comments(first: 100) { nodes { id } } } }';
  const table = [
    ['lists in lists', `{ github { repositories(first: 100) { nodes { ${issues} } } } }`],
    ['lists behind inline fragments', '{github{repositories(first:100){...{nodes{issues(first:100){...{nodes{comments(first:100){...{nodes{id}}}}}}}}}}}'],
    ['lists behind named fragments', `{ github { repositories(first: 100) { ...A } } } fragment A on GithubRepositoryConnection { nodes { ...B } } fragment B on GithubRepository { ${issues} }`],
    ['lists behind edges', '{ github { repositories(first: 100) { edges { node { issues(first: 100) { edges { node { comments(first: 100) { edges { node { id } } } } } } } } } } }'],
    ['ids in a default', `query ($ids: [ID!]! = ${ids(100)}) { nodes(ids: $ids) { ... on GithubRepository { ${issues} } } }`],
    ['entities', `query ($all: [_Any!]!) { _entities(representations: $all) { ... on GithubRepository { ${issues} } } }`, { all: Array.from({ length: 100 }, () => ({ __typename: 'GithubRepository', id: 'a' })) }],
    ['a page in a variable', 'query ($n: Int) { github { repositories(first: $n) { nodes { issues(first: $n) { nodes { comments(first: $n) { nodes { id } } } } } } } }', { n: 100 }],
    ['lists of a dashboard', `{ ${Array.from({ length: 90 }, (_, number) => `a${number}: dashboards(first: 100) { nodes { widgets { ... on WorkItemsWidget { items(first: 100) { nodes { id } } } } } }`).join(' ')} }`],
  ];
  for (const [name, query, variables] of table) {
    test(name, async () => {
      const { answer } = await ask(query, variables);
      assert.equal(code(answer), 'OPERATION_TOO_COMPLEX', JSON.stringify(answer).slice(0, 300));
      assert.match(answer.errors[0].message, /cost is \d+/);
    });
  }

  test('and not what it could ask for with other variables', async () => {
    const { answer } = await ask('query ($n: Int, $all: Boolean = false) { dashboards(first: $n) { nodes { widgets @include(if: $all) { id } } } integrations(first: $n) { nodes { id } } }', { n: 3 });
    assert.deepEqual(answer.data, { dashboards: { nodes: [] }, integrations: { nodes: [] } });
  });
});

describe('a document that makes work before it is executed', () => {
  const operations = (count, head, fragment) => `${Array.from({ length: count }, (_, number) => `query q${number}${head}{...f}`).join(' ')} fragment f on Query{${fragment}}`;
  const table = [
    ['a name of 400,000 letters above fields that fail', `query($ids:[ID!]!){${'a'.repeat(400_000)}:nodes(ids:$ids){...on GithubRepository{${Array.from({ length: 40 }, (_, number) => `b${number}:issues(first:0){totalCount}`).join(' ')}}}}`, { ids: ['a'] }, /name is longer than 255/],
    ['800 operations that share 900 fields', operations(800, '', 'viewer{__typename}'.repeat(450)), {}, /fewer operations/],
    ['200 operations that share 500 fields with a variable', operations(200, '($a:Int)', 'dashboards(first:$a){totalCount}'.repeat(250)), {}, /fewer operations/],
    ['900 fragments that share 450 fields', `{...f0} ${Array.from({ length: 900 }, (_, number) => `fragment f${number} on Query{...f}`).join(' ')} fragment f on Query{${'__typename '.repeat(450)}}`, {}, /fewer operations/],
  ];
  for (const [name, query, variables, message] of table) {
    test(name, async () => {
      const { answer } = await post({ query, variables, operationName: query.startsWith('query q') ? 'q0' : undefined });
      assert.equal(code(answer), 'OPERATION_TOO_COMPLEX', JSON.stringify(answer).slice(0, 300));
      assert.match(answer.errors[0].message, message);
      for (const { line, column } of answer.errors[0].locations ?? []) assert.ok(line >= 1 && column >= 1, 'places are counted from 1');
    });
  }
});
