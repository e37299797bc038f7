// Webhooks that the gateway takes: signed by GitHub's own library and as Slack and Asana document it, and by its own sandbox.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Webhooks } from '@octokit/webhooks';
import { data, DEV_SECRET, startDev, until } from './harness.mjs';

let dev;
const octokit = new Webhooks({ secret: DEV_SECRET });
let count = 0;

before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

const post = (provider, body, headers) => fetch(`${dev.url}/webhooks/${provider}/${provider}-dev`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
const activities = async (kind) => data(await dev.query('query ($kind: String!) { activity(first: 100, filter: { kinds: [$kind] }) { nodes { id kind summary subject { __typename title } } } }', { kind })).activity.nodes;

async function github(event, payload, { form = false, delivery = `0-${count += 1}` } = {}) {
  const json = JSON.stringify(payload);
  const body = form ? new URLSearchParams({ payload: json }).toString() : json;
  const headers = { 'x-github-event': event, 'x-github-delivery': delivery, 'x-hub-signature-256': await octokit.sign(body), ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) };
  return post('github', body, headers);
}

function slack(payload, { at = Math.floor(Date.now() / 1000), form = false } = {}) {
  const json = JSON.stringify(payload);
  const body = form ? new URLSearchParams({ payload: json }).toString() : json;
  const signature = `v0=${createHmac('sha256', DEV_SECRET).update(`v0:${at}:${body}`).digest('hex')}`;
  return post('slack', body, { 'x-slack-request-timestamp': String(at), 'x-slack-signature': signature, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) });
}

function asana(payload) {
  const body = JSON.stringify(payload);
  return post('asana', body, { 'x-hook-signature': createHmac('sha256', DEV_SECRET).update(body).digest('hex') });
}

describe('webhooks', () => {
  test('of every act of the sandbox are taken', async () => {
    const { providers } = await (await fetch(`${dev.sandbox}/_sandbox`)).json();
    for (const { name, acts } of providers) {
      for (const { name: act, example } of acts) {
        const response = await fetch(`${dev.sandbox}/_sandbox/${name}/${act}?wait=true`, { method: 'POST', body: JSON.stringify(example) });
        // The examples stand alone; after others, one may have nothing left to act on.
        if (!response.ok) continue;
        const { deliveries } = await response.json();
        for (const { status } of deliveries) assert.equal(Math.floor(status / 100), 2, `${name} ${act}: ${status}`);
      }
    }
  });

  test('of GitHub, all its published examples, JSON and form, signed by its own library', { timeout: 120_000 }, async () => {
    const index = JSON.parse(readFileSync(new URL('node_modules/@octokit/webhooks-examples/api.github.com/index.json', import.meta.url), 'utf8'));
    let sent = 0;
    for (const { name, examples } of index) {
      for (const example of examples) {
        const response = await github(name, example, { form: sent % 7 === 0 });
        assert.equal(Math.floor(response.status / 100), 2, `${name}.${example.action}: ${response.status} ${await response.text()}`);
        sent += 1;
      }
    }
    assert.equal(sent, 329);
    const [opened] = await until(async () => (await activities('issues.opened')).filter(({ subject }) => subject), 'issues.opened');
    assert.equal(opened.subject.__typename, 'GithubIssue', 'readable, although the sandbox never heard of it');
    assert.equal(dev.alive(), true);
  });

  test('that come twice happen once', async () => {
    const index = JSON.parse(readFileSync(new URL('node_modules/@octokit/webhooks-examples/api.github.com/index.json', import.meta.url), 'utf8'));
    // Another star than the one that an earlier test has told of.
    const star = structuredClone(index.find(({ name }) => name === 'star').examples[0]);
    star.repository.stargazers_count += 1;
    const kind = `star.${star.action}`;
    const before = (await activities(kind)).length;
    for (let round = 0; round < 3; round += 1) assert.equal(Math.floor((await github('star', star, { delivery: 'the-same' })).status / 100), 2);
    await github('push', index.find(({ name }) => name === 'push').examples[0], { delivery: 'after-it' });
    await until(async () => (await activities(kind)).length > before, kind);
    assert.equal((await activities(kind)).length, before + 1);
  });

  test('of Slack: the challenge, events, and interactivity as a form', async () => {
    const response = await slack({ type: 'url_verification', token: 't', challenge: 'c-123' });
    assert.equal(response.status, 200);
    assert.match(await response.text(), /c-123/);
    const event = { type: 'event_callback', team_id: 'T0', event_id: `Ev${Date.now()}`, event_time: 1, event: { type: 'reaction_added', user: 'U0', reaction: 'tada', item: { type: 'message', channel: 'C0', ts: '1700000000.000100' }, event_ts: '1700000001.000100' } };
    assert.equal(Math.floor((await slack(event)).status / 100), 2);
    assert.equal(Math.floor((await slack({ type: 'block_actions', team: { id: 'T0' }, actions: [] }, { form: true })).status / 100), 2);
    for (const away of [-3600, 3600]) assert.equal((await slack(event, { at: Math.floor(Date.now() / 1000) + away })).status, 401, `${away} s away`);
  });

  test('of Asana: events and heartbeats, but no handshake that nobody waits for', async () => {
    assert.equal(Math.floor((await asana({ events: [] })).status / 100), 2);
    const event = { user: { gid: '1' }, created_at: '2026-01-01T00:00:00.000Z', action: 'changed', resource: { gid: '77', resource_type: 'task' }, parent: null, change: { field: 'name', action: 'changed' } };
    assert.equal(Math.floor((await asana({ events: [event] })).status / 100), 2);
    const handshake = await post('asana', '{}', { 'x-hook-secret': 'planted' });
    assert.ok(handshake.status >= 400 && !handshake.headers.has('x-hook-secret'), String(handshake.status));
  });
});
