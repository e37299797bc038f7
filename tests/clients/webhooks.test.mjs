// Webhooks end to end: what each request is answered, that nothing happens twice and nothing that was acknowledged is lost.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect } from './graphs.mjs';
import { data, DEV_SECRET, startDev, until } from './harness.mjs';

const examples = JSON.parse(readFileSync(new URL('node_modules/@octokit/webhooks-examples/api.github.com/index.json', import.meta.url), 'utf8'));
const example = (name, action) => structuredClone(examples.find((event) => event.name === name).examples.find((each) => each.action === action));

let dev;
before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

const now = () => Math.floor(Date.now() / 1000);
const hmac = (text, secret = DEV_SECRET) => createHmac('sha256', secret).update(text).digest('hex');
const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };
const form = (payload) => new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
const post = (path, body, headers) => fetch(`${dev.url}/webhooks/${path}`, { method: 'POST', body, headers });
let count = 0;
const github = (body, event, headers = {}) => post('github/github-dev', body, { ...JSON_TYPE, 'x-github-event': event, 'x-github-delivery': `w-${count += 1}`, 'x-hub-signature-256': `sha256=${hmac(body)}`, ...headers });
const slack = (body, headers = {}, at = now()) => post('slack/slack-dev', body, { ...JSON_TYPE, 'x-slack-request-timestamp': String(at), 'x-slack-signature': `v0=${hmac(`v0:${at}:${body}`)}`, ...headers });
const asana = (body, headers = {}) => post('asana/asana-dev', body, { ...JSON_TYPE, 'x-hook-signature': hmac(body), ...headers });

/** An issue that the sandbox never heard of. */
function issue(title, id) {
  const payload = example('issues', 'opened');
  Object.assign(payload.issue, { id, node_id: `I_unheard_${id}`, number: id, title, html_url: `https://github.com/Codertocat/Hello-World/issues/${id}` });
  return payload;
}
const activities = async (first = 100) => data(await dev.query('query ($first: Int) { activity(first: $first) { nodes { id kind summary actor { displayName } subject { __typename id title ... on GithubIssue { number state bodyText repository { nameWithOwner } } ... on SlackMessage { text channel { name } } ... on AsanaTask { title } } } } }', { first })).activity.nodes;
const told = async (text) => (await activities()).filter(({ summary, subject }) => `${summary} ${subject?.title}`.includes(text));
/** The deliveries of a provider in /metrics, by result. */
async function counted(provider) {
  const metrics = await (await fetch(`${dev.url}/metrics`)).text();
  return Object.fromEntries([...metrics.matchAll(/^mullion_deliveries_total\{(.*)\} (\d+)$/gm)].filter(([, labels]) => labels.includes(`provider="${provider}"`)).map(([, labels, value]) => [/result="([^"]*)"/.exec(labels)[1], Number(value)]));
}

/** Announces a body and sends none of it: what is answered was answered without reading it. */
async function announced(endpoint, length, status) {
  const { hostname, port } = new URL(dev.url);
  const wire = connect(Number(port), hostname);
  let answer = '';
  wire.setEncoding('utf8').on('data', (text) => { answer += text; }).on('error', () => {});
  wire.write(`POST /webhooks/github/${endpoint} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n{`);
  await until(() => answer.startsWith('HTTP/1.1 '), 'an answer');
  wire.destroy();
  assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
}

describe('a webhook is answered', () => {
  const good = JSON.stringify(example('star', 'created'));
  const message = (text) => ({ type: 'event_callback', team_id: 'T0', api_app_id: 'A0', event_id: `Ev${count += 1}`, event_time: now(), event: { type: 'message', channel: 'C_UNHEARD', user: 'U_UNHEARD', text, ts: `${now()}.00010${count}`, event_ts: `${now()}.00010${count}`, channel_type: 'channel' } });
  const table = [
    ['404 for an endpoint that is not', () => post('github/unheard', good, { ...JSON_TYPE, 'x-github-event': 'star', 'x-hub-signature-256': `sha256=${hmac(good)}` }), 404],
    ['404 for a provider that is not', () => post('gitlab/github-dev', good, JSON_TYPE), 404],
    ['404 for an endpoint of another provider', () => post('asana/github-dev', good, { ...JSON_TYPE, 'x-hook-signature': hmac(good) }), 404],
    ['401 for GitHub without a signature', () => github(good, 'star', { 'x-hub-signature-256': '' }), 401],
    ['401 for a changed body', () => github(`${good} `, 'star', { 'x-hub-signature-256': `sha256=${hmac(good)}` }), 401],
    ['401 for Slack with an old timestamp', () => slack('{}', {}, now() - 3600), 401],
    ['401 for Slack with a timestamp of the future', () => slack('{}', {}, now() + 3600), 401],
    ['401 for Asana with another signature', () => asana('{"events":[]}', { 'x-hook-signature': hmac('{"events":[]}', 'other') }), 401],
    ['400 without an event', () => post('github/github-dev', good, { ...JSON_TYPE, 'x-hub-signature-256': `sha256=${hmac(good)}` }), 400],
    ['400 for no JSON', () => github('{', 'star'), 400],
    ['400 for a list', () => github('[]', 'star'), 400],
    ['400 for nothing', () => github('', 'star'), 400],
    ['400 for Slack without JSON', () => slack('hello'), 400],
    ['400 for a list from Asana', () => asana('[]'), 400],
    ['413 for Slack over a megabyte', () => slack(JSON.stringify({ x: 'x'.repeat(1_100_000) })), 413],
    ['413 for Asana over a megabyte', () => asana(JSON.stringify({ x: 'x'.repeat(1_100_000) })), 413],
    ['200 for GitHub over a megabyte', () => github(JSON.stringify({ ...example('star', 'created'), x: 'x'.repeat(1_100_000) }), 'star'), 200],
    ['415 for XML', () => github(good, 'star', { 'content-type': 'application/xml' }), 415],
    ['415 for a form of Asana', () => asana('{"events":[]}', FORM_TYPE), 415],
    ['403 for a handshake that nobody waits for', () => post('asana/asana-dev', '{}', { ...JSON_TYPE, 'x-hook-secret': 'planted' }), 403],
    ['403 for a handshake even with a good signature', () => asana('{"events":[]}', { 'x-hook-secret': 'planted' }), 403],
    ['200 for an event of GitHub', () => github(good, 'star'), 200],
    ['200 for a form of GitHub', () => { const body = form(example('star', 'created')); return github(body, 'star', FORM_TYPE); }, 200],
    ['200 for a message', () => slack(JSON.stringify(message('Hello'))), 200],
    ['200 for a form of Slack\'s interactivity', () => { const body = form({ type: 'block_actions', team: { id: 'T0' }, user: { id: 'U0' }, actions: [] }); return slack(body, FORM_TYPE); }, 200],
    ['200 for a heartbeat of Asana', () => asana('{"events":[]}'), 200],
    ['200 for an event that is not invented yet', () => github('{}', 'not_invented_yet'), 200],
  ];
  for (const [name, send, expected] of table) {
    test(name, async () => {
      const response = await send();
      assert.equal(response.status, expected, await response.text());
      assert.ok(!response.headers.has('x-hook-secret'));
    });
  }

  test('200 with the challenge for url_verification, signed only', async () => {
    const body = JSON.stringify({ type: 'url_verification', token: 'Jhj5dZrVaK7ZwHHjRyZWjbDl', challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P' });
    const response = await slack(body);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P/);
    const unsigned = await post('slack/slack-dev', body, JSON_TYPE);
    assert.equal(unsigned.status, 401);
    assert.ok(!/3eZbrw1a/.test(await unsigned.text()));
  });

  test('413 for GitHub over 25 MB, as soon as that is announced', () => announced('github-dev', 26_300_000, 413));

  test('404 before the body is read', async () => {
    await announced('unheard', 1_000, 404);
  });
});

describe('a delivery', () => {
  test('that comes again is 200 and happens once, for subscribers too; another one with the same body happens', async () => {
    const client = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket });
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    const live = collect(client.iterate({ query: 'subscription ($after: EventCursor) { activity(after: $after) { id kind summary } }', variables: { after: eventCursor } }));
    const body = JSON.stringify(issue('Comes again', 90_001));
    const before = (await counted('github')).duplicate ?? 0;
    for (let round = 0; round < 3; round += 1) assert.equal((await github(body, 'issues', { 'x-github-delivery': 'comes-again' })).status, 200);
    assert.equal((await counted('github')).duplicate, before + 2);
    // Slack and Asana: by the event's id, and by the body's hash.
    const message = JSON.stringify({ type: 'event_callback', team_id: 'T0', event_id: 'Ev-again', event_time: now(), event: { type: 'message', channel: 'C_UNHEARD', user: 'U_UNHEARD', text: 'Said once', ts: '1700000000.000900', event_ts: '1700000000.000900', channel_type: 'channel' } });
    for (const retry of [{}, { 'x-slack-retry-num': '1', 'x-slack-retry-reason': 'http_timeout' }]) assert.equal((await slack(message, retry)).status, 200);
    const events = JSON.stringify({ events: [{ user: { gid: '1', resource_type: 'user' }, created_at: new Date().toISOString(), action: 'deleted', resource: { gid: '90002', resource_type: 'task' }, parent: null }] });
    for (let round = 0; round < 2; round += 1) assert.equal((await asana(events)).status, 200);
    assert.ok((await counted('slack')).duplicate >= 1 && (await counted('asana')).duplicate >= 1);
    assert.equal((await github(JSON.stringify(issue('Comes last', 90_003)), 'issues')).status, 200);
    await live.find(({ data: { activity } }) => /Comes last/.test(activity.summary), 'the last one');
    // Asana's waits for names, so that others may overtake it.
    await live.find(({ data: { activity } }) => activity.kind === 'task.deleted', "Asana's");
    const kinds = live.items.map(({ data: { activity } }) => activity.kind);
    assert.deepEqual(kinds.filter((kind) => kind !== 'star.created').sort(), ['issues.opened', 'issues.opened', 'message', 'task.deleted']);
    assert.equal((await told('Comes again')).length, 1);
    await live.stop();
    await client.dispose();
  });

  test('that we do not use is taken, does not show, and is told apart in /metrics', async () => {
    const before = await counted('github');
    const head = data(await dev.query('{ eventCursor }'));
    assert.equal(Math.floor((await github('{"action":"whatever"}', 'not_invented_yet')).status / 100), 2);
    await until(async () => ((await counted('github')).ignored ?? 0) === (before.ignored ?? 0) + 1, 'it is counted as ignored');
    assert.equal((await counted('github')).applied, before.applied);
    assert.deepEqual(data(await dev.query('{ eventCursor }')), head);
    const refused = (await counted('github')).bad_signature ?? 0;
    await github('{}', 'star', { 'x-hub-signature-256': `sha256=${hmac('{}', 'other')}` });
    assert.equal((await counted('github')).bad_signature, refused + 1);
  });

  test('brings its subject along, readable though the sandbox never heard of it, with no call', async () => {
    await dev.resetStats();
    const body = JSON.stringify(issue('Nobody else knows it', 90_010));
    await github(body, 'issues');
    const activity = await until(async () => (await activities(1)).find(({ subject }) => subject?.title === 'Nobody else knows it'), 'the activity');
    assert.equal(activity.kind, 'issues.opened');
    assert.deepEqual([activity.subject.__typename, activity.subject.title, activity.subject.number, activity.subject.state], ['GithubIssue', 'Nobody else knows it', 90_010, 'TODO']);
    assert.equal(activity.subject.repository.nameWithOwner, 'Codertocat/Hello-World');
    assert.ok(activity.actor.displayName);
    assert.ok(!/\n/.test(activity.summary));
    const node = data(await dev.query('query ($id: ID!) { node(id: $id) { ... on GithubIssue { title number author { login } } } }', { id: activity.subject.id })).node;
    assert.deepEqual([node.title, node.number], ['Nobody else knows it', 90_010]);
    const said = JSON.stringify({ type: 'event_callback', team_id: 'T0', event_id: 'Ev-unheard', event_time: now(), event: { type: 'message', channel: 'C_UNHEARD', user: 'U_UNHEARD', text: 'Nobody else heard it', ts: '1700000000.000901', event_ts: '1700000000.000901', channel_type: 'channel' } });
    await slack(said);
    const heard = await until(async () => (await activities(1)).find(({ subject }) => subject?.text === 'Nobody else heard it'), 'the message');
    assert.deepEqual([heard.subject.__typename, heard.subject.text], ['SlackMessage', 'Nobody else heard it']);
    assert.equal((await dev.stats()).github.total, 0, 'the payload carried the whole issue');
  });
});

describe('deliveries that were acknowledged', () => {
  for (const round of [1, 2]) {
    test(`survive kill -9 right after a burst of 50, each exactly once (round ${round})`, async () => {
      const titles = Array.from({ length: 50 }, (_, n) => `Burst ${round}: ${String(n).padStart(2, '0')}`);
      const answers = await Promise.all(titles.map((title, n) => github(JSON.stringify(issue(title, 91_000 + round * 100 + n)), 'issues', { 'x-github-delivery': `burst-${round}-${n}` })));
      await dev.kill();
      assert.deepEqual(answers.map(({ status }) => status), titles.map(() => 200));
      await dev.restart();
      const burst = async () => (await activities()).map(({ subject }) => subject?.title).filter((title) => title?.startsWith(`Burst ${round}:`));
      await until(async () => new Set(await burst()).size === 50, () => 'not all 50 are told');
      // A delivery that GitHub sends again because it saw no answer happens no second time, and the last to come is told last.
      for (const n of [0, 49]) assert.equal((await github(JSON.stringify(issue(titles[n], 91_000 + round * 100 + n)), 'issues', { 'x-github-delivery': `burst-${round}-${n}` })).status, 200);
      await github(JSON.stringify(issue(`After burst ${round}`, 91_090 + round)), 'issues', { 'x-github-delivery': `after-burst-${round}` });
      await until(async () => (await told(`After burst ${round}`)).length > 0, 'the one after it');
      assert.deepEqual((await burst()).sort(), titles);
    });
  }
});
