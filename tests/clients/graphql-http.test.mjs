// GraphQL over HTTP, by the audit suite of the npm package graphql-http: MUST, SHOULD and MAY.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { startDev } from './harness.mjs';

let dev;
before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

const audits = serverAudits({ url: () => dev.graphqlUrl, fetchFn: fetch });

describe('GraphQL over HTTP', () => {
  test('the suite is the whole suite', () => {
    assert.deepEqual([...new Set(audits.map(({ name }) => name.split(' ')[0]))].sort(), ['MAY', 'MUST', 'SHOULD']);
    assert.ok(audits.length >= 60, `only ${audits.length} audits`);
  });

  for (const { name, id, fn } of audits) {
    test(`${id} ${name}`, async () => {
      const { status, reason } = await fn();
      assert.equal(status, 'ok', reason);
    });
  }
});
