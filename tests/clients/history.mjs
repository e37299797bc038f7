// The history of issues at GitHub, version by version, as deliveries that can be sent in any order and as often as one likes:
// every delivery has a title of its own, so that an activity tells which one it is of.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

const examples = JSON.parse(readFileSync(new URL('node_modules/@octokit/webhooks-examples/api.github.com/index.json', import.meta.url), 'utf8'));
const example = (name, action) => examples.find((event) => event.name === name).examples.find((each) => each.action === action);
/** The payload that each kind of delivery is made from. */
const TEMPLATES = {
  opened: ['issues', example('issues', 'opened')],
  edited: ['issues', example('issues', 'edited')],
  labeled: ['issues', example('issues', 'labeled')],
  closed: ['issues', { ...example('issues', 'edited'), action: 'closed', changes: undefined }],
  reopened: ['issues', example('issues', 'reopened')],
  deleted: ['issues', example('issues', 'deleted')],
  commented: ['issue_comment', example('issue_comment', 'created')],
  comment_edited: ['issue_comment', example('issue_comment', 'edited')],
};
/** The second in which the first issue is opened: long ago, so that a deletion is after everything else. */
const BEGIN = Date.UTC(2025, 0, 1);
const LABELS = ['bug', 'docs', 'later', 'wanted'];
const second = (seconds) => `${new Date(BEGIN + seconds * 1000).toISOString().slice(0, 19)}Z`;

/**
 * How a delivery and its activity are recognised: `Title 12.3` is version 3 of issue 12. That is its sender's name, too, which comes first
 * in the sentence and stays: an issue is called by its present title in all sentences about it.
 */
export const titleIn = (text) => /Title \d+\.\d+/.exec(text)?.[0];

/**
 * So many issues with so many versions each, in the order in which they happened: `{ id, event, title, issue, body() }`. The
 * same for the same dice. `text` is the description of every issue.
 */
export function history(dice, { issues, versions, text = 'As it happens.' }) {
  const deliveries = [];
  const states = Array.from({ length: issues }, (_, number) => ({ number: number + 1, open: true, labels: new Set(), comments: 0, at: 0, text }));
  for (let version = 0; version < versions; version += 1) {
    for (const state of states) {
      const kind = version === 0 ? 'opened' : next(dice, state, version === versions - 1);
      happen(dice, state, kind, version);
      deliveries.push(delivery(kind, { ...state, labels: [...state.labels] }));
    }
  }
  return deliveries;
}

function next(dice, { open, comments }, last) {
  if (last && dice(20) === 0) return 'deleted';
  const possible = ['edited', 'edited', 'labeled', open ? 'closed' : 'reopened', comments === 0 ? 'commented' : 'comment_edited'];
  return possible[dice(possible.length)];
}

function happen(dice, state, kind, version) {
  Object.assign(state, { version, at: state.number + version * 1_000, title: `Title ${state.number}.${version}` });
  if (kind === 'closed' || kind === 'reopened') state.open = kind === 'reopened';
  if (kind === 'labeled') state.labels.add(LABELS[dice(LABELS.length)]);
  if (kind === 'commented') state.comments = 1;
}

function delivery(kind, state) {
  const [event, template] = TEMPLATES[kind];
  return { id: `history-${state.number}-${state.version}`, event, title: state.title, issue: state.number, body: () => JSON.stringify(payload(structuredClone(template), state)) };
}

function payload(made, { number, version, title, open, labels, comments, at, text }) {
  Object.assign(made.sender, { login: title, id: 1_000_000 + number * 1_000 + version, node_id: `U_${number}_${version}` });
  Object.assign(made.issue, {
    id: 500_000 + number,
    node_id: issueNode(number),
    number,
    title,
    body: text,
    state: open ? 'open' : 'closed',
    closed_at: open ? null : second(at),
    created_at: second(number),
    updated_at: second(at),
    comments,
    labels: labels.map((name) => ({ ...LABEL, node_id: `LA_${name}`, name })),
  });
  if (made.label) made.label = made.issue.labels.at(-1);
  if (made.comment) Object.assign(made.comment, { id: 600_000 + number, node_id: commentNode(number), body: `Said of ${title}`, updated_at: second(at) });
  return made;
}
const LABEL = TEMPLATES.labeled[1].label;
const issueNode = (number) => `I_history_${number}`;
const commentNode = (number) => `IC_history_${number}`;

/** The headers of a delivery. */
export const headers = ({ id, event }, body, secret) => ({
  'content-type': 'application/json',
  'x-github-event': event,
  'x-github-delivery': id,
  'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
});

const STATE = `query ($ids: [ID!]!) { nodes(ids: $ids) {
  __typename
  ... on GithubIssue { title number state stateName bodyText labels { name } commentCount createdAt updatedAt closedAt author { login } }
  ... on GithubComment { text sentAt editedAt author { handle } }
} }`;

/**
 * The issues and their comments as the graph shows them, by `ask(document, variables)`. A comment that no delivery was about has to
 * be read from GitHub; where GitHub does not answer, it is `{ unavailable: true }`.
 */
export async function stateOf(ask, integration, issues) {
  const row = Buffer.from(integration, 'base64url').toString().split('\n')[2];
  const node = (type, native) => Buffer.from(`n\n${type}\n${row}\n${native}`).toString('base64url');
  const numbers = Array.from({ length: issues }, (_, number) => number + 1);
  const ids = numbers.flatMap((number) => [node('GithubIssue', issueNode(number)), node('GithubComment', commentNode(number))]);
  const nodes = [];
  while (ids.length > 0) {
    const { data, errors } = await ask(STATE, { ids: ids.splice(0, 100) });
    const unavailable = new Set();
    for (const error of errors ?? []) {
      const [field, index, ...below] = error.path ?? [];
      if (error.extensions.code !== 'PROVIDER_UNAVAILABLE' || field !== 'nodes' || below.length > 0) throw new Error(JSON.stringify(errors));
      assert.equal(data.nodes[index], null);
      unavailable.add(index);
    }
    nodes.push(...data.nodes.map((node, index) => (unavailable.has(index) ? { unavailable: true } : node)));
  }
  return nodes;
}
