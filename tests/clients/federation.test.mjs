// The graph as an Apollo Federation subgraph: composed with another one by Apollo's own composition, and asked as a router asks.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { composeServices } from '@apollo/composition';
import { buildSchema, parse } from 'graphql';
import { schema } from './graphs.mjs';
import { data, run, startDev } from './harness.mjs';

/** Another team's subgraph, which adds a field to one of our types by its id. */
const NOTES = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.0", import: ["@key"])
  type Query { notes: [Note!]! }
  type Note { text: String! issue: GithubIssue! }
  type GithubIssue @key(fields: "id") { id: ID! notes: [Note!]! }
  type Dashboard @key(fields: "id", resolvable: false) { id: ID! }
`;
const ENTITIES = 'query ($representations: [_Any!]!) { _entities(representations: $representations) { __typename ... on GithubIssue { id title } ... on SlackChannel { name } ... on Dashboard { slug } } }';
let dev;

before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

describe('federation', () => {
  test('composes with another subgraph', () => {
    const { errors, supergraphSdl } = composeServices([
      { name: 'mullion', url: 'http://mullion', typeDefs: parse(run(['schema', '--federation'])) },
      { name: 'notes', url: 'http://notes', typeDefs: parse(NOTES) },
    ]);
    assert.equal(errors, undefined, errors?.join('\n'));
    assert.match(supergraphSdl, /join__type\(graph: NOTES, key: "id"\)/);
    assert.match(supergraphSdl, /issues\([^)]*\): GithubIssueConnection [^\n]*@listSize\(assumedSize: 20, slicingArguments: \["first"\], sizedFields: \["nodes", "edges"\], requireOneSlicingArgument: false\)/);
    assert.match(supergraphSdl, /@cost\(weight: 10\)/);
  });

  test('keeps what only routers need out of the plain schema', () => {
    const plain = run(['schema']);
    for (const name of ['_Any', '_Entity', '_service', '_entities', '@key']) assert.ok(!plain.includes(name), name);
    assert.ok(buildSchema(plain));
  });

  test('tells its subgraph SDL', async () => {
    const { _service } = data(await dev.query('{ _service { sdl } }'));
    assert.equal(_service.sdl.trim(), run(['schema', '--federation']).trim());
  });

  test('has a key for every Node type', () => {
    const nodes = schema().getPossibleTypes(schema().getType('Node')).map(({ name }) => name);
    const document = parse(run(['schema', '--federation']));
    const keyed = document.definitions.filter((each) => each.directives?.some(({ name }) => name.value === 'key')).map(({ name }) => name.value);
    assert.deepEqual(nodes.filter((name) => !keyed.includes(name)), []);
  });

  test('answers entities by id, in order, null for those that are not there or of another type', async () => {
    const found = data(await dev.query('{ github { repository(owner: "acme", name: "web") { issues(first: 2) { nodes { id title } } } } slack { channel(name: "general") { id } } dashboard(slug: "team") { id } }'));
    const [first, second] = found.github.repository.issues.nodes;
    const representations = [
      { __typename: 'GithubIssue', id: second.id },
      { __typename: 'SlackChannel', id: found.slack.channel.id },
      { __typename: 'Dashboard', id: found.dashboard.id },
      { __typename: 'GithubIssue', id: first.id },
    ];
    const { _entities } = data(await dev.query(ENTITIES, { representations }));
    assert.deepEqual(_entities, [
      { __typename: 'GithubIssue', ...second }, { __typename: 'SlackChannel', name: 'general' }, { __typename: 'Dashboard', slug: 'team' }, { __typename: 'GithubIssue', ...first },
    ]);
    const wrong = await dev.query(ENTITIES, { representations: [{ __typename: 'SlackChannel', id: first.id }, { __typename: 'GithubIssue', id: second.id }] });
    assert.equal(wrong.data._entities[0], null);
    assert.equal(wrong.data._entities[1].id, second.id);
  });

  test('answers each representation in its place, whatever the others are', async () => {
    const id = data(await dev.query('{ dashboard(slug: "team") { id } }')).dashboard.id;
    const table = [
      [{ __typename: 'Dashboard', id }, undefined],
      [{ __typename: 'Nothing', id }, 'BAD_USER_INPUT'],
      [{ __typename: 'Dashboard' }, 'BAD_USER_INPUT'],
      [{ __typename: 'Dashboard', id: 'nonsense' }, 'BAD_USER_INPUT'],
      [{ __typename: 'GithubIssue', id }, 'BAD_USER_INPUT'],
      [{ id }, 'BAD_USER_INPUT'],
      ['nonsense', 'BAD_USER_INPUT'],
      [{ __typename: 'Dashboard', id }, undefined],
    ];
    const answer = await dev.query(ENTITIES, { representations: table.map(([representation]) => representation) });
    for (const [index, [representation, expected]] of table.entries()) {
      const own = answer.errors.filter(({ path }) => path[0] === '_entities' && path[1] === index);
      assert.deepEqual(own.map(({ extensions }) => extensions.code), expected ? [expected] : [], JSON.stringify(representation));
      assert.deepEqual(answer.data._entities[index], expected ? null : { __typename: 'Dashboard', slug: 'team' });
    }
    const many = await dev.query(ENTITIES, { representations: Array(101).fill({ __typename: 'Dashboard', id }) });
    assert.equal(many.errors[0].extensions.code, 'BAD_USER_INPUT');
  });
});
