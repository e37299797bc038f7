// The checker of answers is checked itself: graphql-js's answers pass, spoilt ones do not.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildSchema, graphql } from 'graphql';
import { assertConforms } from './graphs.mjs';

const graph = buildSchema(`
  interface Named { name: String! }
  type Person implements Named { name: String! friends: [Person!] best: Person must: Person! age: Int }
  type Query { me: Person named: [Named] count: Int! }
`);
const fail = () => { throw new Error('no'); };
const person = (more) => ({ __typename: 'Person', name: 'Ada', age: 7, friends: () => [{ __typename: 'Person', name: 'Ben' }, { __typename: 'Person', name: fail }], best: fail, ...more });
const document = '{ b: me { name friends { name } best { name } ...A } named { ... on Person { age } name __typename } } fragment A on Named { name ... on Person { age @skip(if: true) } }';
const answer = async (source = document, root = { me: person(), named: () => [person(), null] }) => JSON.parse(JSON.stringify(await graphql({ schema: graph, source, rootValue: root })));

describe('the checker', () => {
  test('lets an answer of graphql-js pass, with errors and bubbling', async () => {
    const good = await answer();
    assert.equal(good.errors.length, 2);
    assertConforms(document, good, { graph });
    for (const source of ['{ me { must { name } } }', '{ me { age } count }', '{ named { name } }']) assertConforms(source, await answer(source), { graph });
  });

  const spoilt = {
    'a field left out': (good) => { delete good.data.b.best; },
    'another order': ({ data }) => { data.b = Object.fromEntries(Object.entries(data.b).reverse()); },
    'a field too many': ({ data }) => { data.b.age = 7; },
    'null in a non-null field': ({ data }) => { data.named[0].name = null; },
    'a wrong leaf': ({ data }) => { data.named[0].age = 'seven'; },
    'no list': ({ data }) => { data.named = {}; },
    'another type': ({ data }) => { data.named[0].__typename = 'Query'; },
    'a null above a nullable field': (good) => { good.data.b = null; },
    'an error that left no null': (good) => { good.errors.push({ message: 'no', path: ['named', 0, 'name'] }); },
    'no data': (good) => { delete good.data; },
  };
  for (const [name, spoil] of Object.entries(spoilt)) {
    test(`notices ${name}`, async () => {
      const bad = await answer();
      spoil(bad);
      assert.throws(() => assertConforms(document, bad, { graph }), assert.AssertionError);
    });
  }
});
