// GraphQL over HTTP, as its specification draft says: every audit of `graphql-http`, MUST, SHOULD and MAY, against MULLION_URL.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { serverAudits } from 'graphql-http';

const base = process.env.MULLION_URL;
assert.ok(base, 'MULLION_URL is not set: it names a running gateway, like http://127.0.0.1:4000');

const audits = serverAudits({ url: new URL('/graphql', base).toString() });

test('the suite is the whole suite', () => {
  const levels = new Set(audits.map((audit) => audit.name.split(' ')[0]));
  assert.deepEqual([...levels].sort(), ['MAY', 'MUST', 'SHOULD']);
  assert.ok(audits.length >= 60, `only ${audits.length} audits`);
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, 'ok', result.reason);
  });
}
