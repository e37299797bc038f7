// Signed deliveries of GitHub's `issues` event: somebody changes an issue's title.
import { createHmac, randomUUID } from 'node:crypto';
import { request } from './connection.mjs';
import { DEV_SECRET } from '../clients/harness.mjs';

/** The title tells which delivery brought it. */
const title = (number) => `Title of delivery ${number}`;

/** The number of the delivery that a text (a title, an activity's line) speaks of. */
export function deliveryIn(text) {
  const found = /Title of delivery (\d+)/.exec(text);
  return found ? Number(found[1]) : undefined;
}

/** The REST form of an issue and of its repository, which the payload carries; `key` is like `acme/web#12`. */
export async function subject(program, key) {
  const [repository, number] = key.split('#');
  const read = async (path) => (await fetch(`${program.sandbox}/github/repos/${path}`, { headers: { authorization: 'Bearer load' } })).json();
  return { key, issue: await read(`${repository}/issues/${number}`), repository: await read(repository) };
}

/** Delivery `number` as bytes. Each edit of an issue is a second younger than the one before: GitHub's times are whole seconds. */
export function delivery(number, { issue, repository }) {
  const from = issue.title;
  issue.title = title(number);
  issue.updated_at = `${new Date(Date.parse(issue.updated_at) + 1_000).toISOString().slice(0, 19)}Z`;
  const body = JSON.stringify({ action: 'edited', issue, changes: { title: { from } }, repository, sender: issue.user });
  return request('POST', '/webhooks/github/github-dev', {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/load',
    'x-github-event': 'issues',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': `sha256=${createHmac('sha256', DEV_SECRET).update(body).digest('hex')}`,
  }, body);
}
