// GraphQL over HTTP, by the audit suite of the npm package graphql-http: MUST, SHOULD and MAY.
import { after, before, describe, test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { startDev } from './harness.mjs';

let dev;
before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

describe('GraphQL over HTTP', () => {
  for (const { name, id, fn } of serverAudits({ url: () => dev.graphqlUrl, fetchFn: fetch })) {
    test(`${id} ${name}`, async () => {
      const { status, reason } = await fn();
      if (status !== 'ok') throw new Error(`${status}: ${reason}`);
    });
  }
});
