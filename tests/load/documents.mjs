// The documents of the measured cases.
import { DASHBOARD } from '../clients/graphs.mjs';

export { DASHBOARD };

/** A hundred pull requests with their authors, reviewers and checks. */
export const PULL_REQUESTS = `{ github { repository(owner: "acme", name: "web") { pullRequests(first: 100) { nodes {
  number title author { displayName avatarUrl } requestedReviewers { __typename ... on GithubUser { login displayName } ... on GithubTeam { name } }
  reviewDecision checks assignees { displayName } labels { name }
} } } } }`;

const FIELDS = ['title', 'number', 'url', 'checks', 'reviewDecision', 'author { displayName }', 'labels { name }', 'headRef', 'updatedAt', 'requestedReviewers { __typename }'];

/** One of many documents over the same list, which differ in fields and in `first`. */
export function differing(number) {
  const selected = FIELDS.filter((_, index) => index === number % FIELDS.length || (number >> index % 6) % 2 === 1);
  return `{ github { repository(owner: "acme", name: "web") { pullRequests(first: ${1 + ((number * 7) % 100)}) { nodes { id ${selected.join(' ')} } } } } }`;
}

const LISTS = ['a', 'b', 'c', 'd', 'e'];
const SIZES = 11;

/** The dashboard with a page size of its own for each list. */
const SIZED = LISTS.reduce((document, name) => document.replace('(first: $first)', `(first: $${name})`), DASHBOARD)
  .replace('($first: Int)', `(${LISTS.map((name) => `$${name}: Int`).join(', ')})`);

/** One of 161,051 requests for the dashboard that differ in variables only, with 15 to 25 things in each list. */
export function sized(number) {
  const variables = LISTS.map((name, place) => [name, 15 + (Math.floor(number / SIZES ** place) % SIZES)]);
  return { query: SIZED, variables: Object.fromEntries(variables) };
}
