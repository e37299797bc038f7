// Every GraphQL document that the gateway sends to GitHub is valid against GitHub's own published schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { buildSchema, extendSchema, getNamedType, GraphQLNonNull, isAbstractType, isLeafType, parse, validate } from 'graphql';
import { DASHBOARD, dice, schema } from './graphs.mjs';
import { startDev } from './harness.mjs';

// Bots among assignees are in the API, but not in the published schema.
const ASSIGNED = `
  type AssigneeConnection { nodes: [Assignee] pageInfo: PageInfo! totalCount: Int! }
  extend interface Assignable { assignedActors(after: String, before: String, first: Int, last: Int): AssigneeConnection! }
  extend type Issue { assignedActors(after: String, before: String, first: Int, last: Int): AssigneeConnection! }
  extend type PullRequest { assignedActors(after: String, before: String, first: Int, last: Int): AssigneeConnection! }
`;
const published = buildSchema(readFileSync(new URL('node_modules/@octokit/graphql-schema/schema.graphql', import.meta.url), 'utf8'), { assumeValid: true });
const github = extendSchema(published, parse(ASSIGNED), { assumeValid: true });
const REPOSITORIES = ['web', 'api'];
let dev;

before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

/** A random selection of a type's fields, at most `depth` deep. */
function selection(type, depth, roll) {
  const own = type.getFields ? Object.values(type.getFields()) : [];
  const usable = own.filter((field) => field.args.every((argument) => argument.name in VALUES || !(argument.type instanceof GraphQLNonNull)) && !['integration', 'provider', 'search'].includes(field.name));
  const chosen = usable.filter((field) => (isLeafType(getNamedType(field.type)) ? roll(3) > 0 : depth > 0 && roll(3) === 0));
  const parts = chosen.map((field) => {
    const values = field.args.filter((argument) => argument.name in VALUES && (argument.type instanceof GraphQLNonNull || roll(2))).map((argument) => `${argument.name}: ${VALUES[argument.name](roll)}`);
    const named = getNamedType(field.type);
    return `${field.name}${values.length ? `(${values.join(', ')})` : ''}${isLeafType(named) ? '' : ` ${selection(named, depth - 1, roll)}`}`;
  });
  if (isAbstractType(type)) {
    const possible = schema().getPossibleTypes(type).filter(({ name }) => name.startsWith('Github'));
    if (possible.length > 0 && depth > 0) {
      const one = possible[roll(possible.length)];
      parts.push(`... on ${one.name} ${selection(one, depth - 1, roll)}`);
    }
  }
  return `{ __typename ${parts.join(' ')} }`;
}

const VALUES = {
  first: (roll) => 1 + roll(5),
  number: (roll) => 1 + roll(60),
  owner: () => '"acme"',
  name: (roll) => JSON.stringify(REPOSITORIES[roll(REPOSITORIES.length)]),
  login: () => '"benokafor"',
};

describe('documents for GitHub', () => {
  test('are valid, over the dashboard, look-ups, searches and 1,000 random selections', { timeout: 300_000 }, async () => {
    const roll = dice(20_261_122);
    await dev.query(DASHBOARD, { first: 50 });
    for (const type of ['ISSUE', 'PULL_REQUEST', 'REPOSITORY']) await dev.query(`{ github { search(query: "login", type: ${type}, first: 5) { nodes { __typename ... on ProviderNode { id title } } } } }`);
    const root = schema().getType('Github');
    for (let round = 0; round < 125; round += 1) {
      await Promise.all(Array.from({ length: 8 }, async () => {
        const document = `{ github ${selection(root, 4, roll)} }`;
        const answer = await dev.query(document);
        assert.ok(!answer.errors?.some(({ extensions }) => ['INTERNAL_SERVER_ERROR', 'PROVIDER_ERROR', 'GRAPHQL_PARSE_FAILED'].includes(extensions?.code)), `${document}: ${JSON.stringify(answer.errors)}`);
      }));
    }
    const recorded = await dev.recorded('github');
    assert.ok(recorded.length >= 20, `${recorded.length} documents`);
    for (const text of recorded) {
      const errors = validate(github, parse(text));
      assert.deepEqual(errors.map(({ message }) => message), [], text);
    }
  });
});
