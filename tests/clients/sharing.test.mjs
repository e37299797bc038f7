// Callers of one tenant and role share an answer, unless the document asks who is asking; two roles or two tenants never do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { data, startServe } from './harness.mjs';

let serve;
const keys = {};

before(async () => {
  serve = await startServe();
  for (const [tenant, role, name] of [['acme', 'editor', 'ann'], ['acme', 'editor', 'bob'], ['acme', 'viewer', 'wall'], ['other', 'editor', 'eve']]) keys[name] = serve.key(tenant, role, name);
  data(await serve.as(keys.ann)('mutation { createDashboard(input: { name: "Ours", slug: "ours" }) { dashboard { id } } }'));
});
after(() => serve?.stop());

const metric = async (pattern) => Number(pattern.exec(await (await fetch(`${serve.admin}/metrics`)).text())?.[1] ?? 0);
const hits = () => metric(/^mullion_cache_lookups_total\{cache="response",result="hit"\} (\d+)/m);

/** How many of these callers, in turn, were given an answer that somebody was given before; and the answers. */
async function asked(document, names) {
  const answers = [];
  const shared = [];
  for (const name of names) {
    const before = await hits();
    answers.push(data(await serve.as(keys[name])(document)));
    if (await hits() > before) shared.push(name);
  }
  return { answers, shared };
}

describe('a query', () => {
  test('is answered alike for two keys of one role, and not again', async () => {
    const { answers, shared } = await asked('{ dashboards { nodes { id name } } }', ['ann', 'bob', 'ann']);
    assert.deepEqual(shared, ['bob', 'ann']);
    assert.equal(answers[0].dashboards.nodes[0].name, 'Ours');
    assert.deepEqual(answers[1], answers[0]);
  });

  test('is never shared by two roles, or two tenants', async () => {
    const { answers, shared } = await asked('{ dashboards { totalCount nodes { id } } }', ['ann', 'wall', 'eve']);
    assert.deepEqual(shared, []);
    assert.deepEqual(answers[2].dashboards.nodes, []);
  });

  for (const [how, document] of [
    ['as a field', '{ dashboards { nodes { id } } viewer { name } }'],
    ['under another name', '{ viewer: __typename who: viewer { name } }'],
    ['through fragments', 'query A { ...F } fragment F on Query { ... { ...G } } fragment G on Query { viewer { name } }'],
  ]) {
    test(`that asks who asks, ${how}, is answered for each key by itself`, async () => {
      const { answers, shared } = await asked(document, ['ann', 'bob', 'wall', 'bob']);
      assert.deepEqual(answers.map((answer) => (answer.who ?? answer.viewer).name), ['ann', 'bob', 'wall', 'bob']);
      assert.deepEqual(shared, ['bob'], 'only what it was given itself');
    });
  }
});
