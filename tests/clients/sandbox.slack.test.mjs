// The sandboxed Slack, asked by Slack's own client, and its events, verified by Slack's own verifier.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { LogLevel, WebClient } from '@slack/web-api';
import { startReceiver, startSandbox } from './harness.mjs';

const { isValidSlackRequest, verifySlackRequest } = createRequire(import.meta.url)('@slack/bolt/dist/receivers/verify-request.js');
const quiet = { debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel: () => LogLevel.ERROR, setName() {} };
let sandbox;
let slack;
let general;

const client = (token, more) => new WebClient(token, { slackApiUrl: `${sandbox.url}/slack/api/`, retryConfig: { retries: 0 }, logger: quiet, ...more });
/** All items of a cursor-paged method. */
async function all(method, options, key) {
  const items = [];
  for await (const page of slack.paginate(method, options)) items.push(...page[key]);
  return items;
}

before(async () => {
  sandbox = await startSandbox();
  slack = client('xoxb-any');
  general = (await all('conversations.list', { limit: 200 }, 'channels')).find((channel) => channel.name === 'general').id;
});
after(() => sandbox?.stop());

describe('the sandboxed Slack', () => {
  test('knows whose token it is, and the team', async () => {
    const me = await slack.auth.test();
    assert.equal(me.ok, true);
    assert.match(me.team_id, /^T/);
    const { team } = await slack.team.info();
    assert.equal(team.id, me.team_id);
    assert.ok(team.name && team.domain);
    assert.equal((await slack.api.test({ foo: 'bar' })).args.foo, 'bar');
    const { user } = await slack.users.info({ user: me.user_id });
    assert.equal(user.is_bot, true);
    assert.equal((await slack.bots.info({ bot: me.bot_id })).bot.user_id, me.user_id);
  });

  test('pages through channels, people and members by cursor', async () => {
    const channels = await all('conversations.list', { limit: 4 }, 'channels');
    assert.ok(channels.length >= 12, `${channels.length} channels`);
    assert.equal(new Set(channels.map((channel) => channel.id)).size, channels.length);
    const living = await all('conversations.list', { limit: 100, exclude_archived: true }, 'channels');
    assert.ok(living.length < channels.length && living.every((channel) => !channel.is_archived));
    const users = await all('users.list', { limit: 7 }, 'members');
    assert.ok(users.length >= 25, `${users.length} people`);
    const members = await all('conversations.members', { channel: general, limit: 9 }, 'members');
    assert.ok(members.every((id) => users.some((user) => user.id === id)));
    assert.ok((await all('users.conversations', { limit: 100 }, 'channels')).length > 0);
  });

  test('shows one channel and one person', async () => {
    const { channel } = await slack.conversations.info({ channel: general, include_num_members: true });
    assert.deepEqual([channel.name, channel.is_private, channel.is_archived], ['general', false, false]);
    assert.ok(channel.num_members > 10);
    const grace = (await all('users.list', { limit: 200 }, 'members')).find((user) => user.name === 'gracelin');
    const { user } = await slack.users.info({ user: grace.id });
    assert.equal(user.real_name, 'Grace Lin');
    assert.equal((await slack.users.lookupByEmail({ email: user.profile.email })).user.id, grace.id);
    assert.equal((await slack.users.profile.get({ user: grace.id })).profile.real_name, 'Grace Lin');
    assert.match((await slack.users.getPresence({ user: grace.id })).presence, /active|away/);
    assert.equal((await slack.emoji.list()).ok, true);
  });

  test('has a history, newest first, in pages, with threads', async () => {
    const engineering = (await all('conversations.list', { limit: 200 }, 'channels')).find((channel) => channel.name === 'engineering').id;
    const messages = await all('conversations.history', { channel: engineering, limit: 90 }, 'messages');
    assert.ok(messages.length >= 200, `${messages.length} messages`);
    const times = messages.map((message) => message.ts);
    assert.deepEqual(times, [...new Set(times)].sort().reverse());
    const root = messages.find((message) => message.reply_count > 1);
    const replies = await all('conversations.replies', { channel: engineering, ts: root.ts, limit: 1 }, 'messages');
    assert.equal(replies.length, root.reply_count + 1);
    assert.ok(replies.every((reply) => reply.thread_ts === root.ts));
    const { messages: [one] } = await slack.conversations.history({ channel: engineering, latest: times[5], oldest: times[5], inclusive: true, limit: 1 });
    assert.equal(one.ts, times[5]);
    assert.match((await slack.chat.getPermalink({ channel: engineering, message_ts: one.ts })).permalink, /^https:/);
  });

  test('says ok: false for what is not there or not allowed', async () => {
    const refused = [
      [() => slack.conversations.info({ channel: 'C0NOTHERE00' }), 'channel_not_found'],
      [() => slack.conversations.history({ channel: 'C0NOTHERE00' }), 'channel_not_found'],
      [() => slack.users.info({ user: 'U0NOTHERE00' }), 'user_not_found'],
      [() => slack.users.lookupByEmail({ email: 'nobody@example.com' }), 'users_not_found'],
      [() => slack.conversations.replies({ channel: general, ts: '1.000001' }), 'thread_not_found'],
      [() => slack.conversations.list({ cursor: 'bm9uc2Vuc2U=' }), 'invalid_cursor'],
      [() => slack.apiCall('no.suchMethod'), 'unknown_method'],
      [() => client(undefined).auth.test(), 'not_authed'],
    ];
    for (const [call, code] of refused) await assert.rejects(call(), (error) => error.data?.error === code || assert.fail(`${code}: ${error}`));
  });

  test('answers 429 with Retry-After on order, and its client comes back by itself', async () => {
    await sandbox.fault({ provider: 'slack', kind: 'rate_limit', times: 1, retryAfter: 9 });
    await assert.rejects(client('xoxb', { rejectRateLimitedCalls: true }).auth.test(), (error) => error.code === 'slack_webapi_rate_limited_error' && error.retryAfter === 9);
    await sandbox.fault({ provider: 'slack', kind: 'rate_limit', times: 1, retryAfter: 1 });
    assert.equal((await client('xoxb', { retryConfig: { retries: 1 } }).auth.test()).ok, true);
  });

  test('breaks and takes no token on order', async () => {
    await sandbox.fault({ provider: 'slack', kind: 'server_error', times: 1 });
    await assert.rejects(slack.auth.test());
    await sandbox.fault({ provider: 'slack', kind: 'unauthorized', times: 1 });
    await assert.rejects(slack.auth.test(), (error) => error.data.error === 'invalid_auth');
  });

  test('takes messages and reactions', async () => {
    const posted = await slack.chat.postMessage({ channel: general, text: 'Over the Web API' });
    await slack.reactions.add({ channel: general, timestamp: posted.ts, name: 'tada' });
    const { message } = await slack.reactions.get({ channel: general, timestamp: posted.ts });
    assert.equal(message.reactions[0].name, 'tada');
    const updated = await slack.chat.update({ channel: general, ts: posted.ts, text: 'Changed' });
    assert.equal(updated.text, 'Changed');
    await slack.chat.delete({ channel: general, ts: posted.ts });
  });

  test('signs its events as Slack\'s verifier wants it', async () => {
    const secret = '8f742231b10e8888abcd99yyyzzz85a5';
    const receiver = await startReceiver((request) => ({ body: JSON.parse(request.body).challenge ?? '' }));
    try {
      await sandbox.addWebhook('slack', receiver.url, secret);
      const { deliveries: [asked] } = await sandbox.act('slack', 'verify_url', { challenge: 'x1' });
      assert.deepEqual([asked.status, asked.challengeAnswered], [200, true]);
      const { deliveries: [told] } = await sandbox.act('slack', 'post_message', { channel: 'general', text: 'Grüße 🦀' });
      assert.equal('challengeAnswered' in told, false);
      await sandbox.act('slack', 'edit_message', { channel: 'general', text: 'Changed' });
      await sandbox.act('slack', 'add_reaction', { channel: 'general', reaction: 'tada' });
      await sandbox.act('slack', 'delete_message', { channel: 'general' });
      await sandbox.act('slack', 'set_topic', { channel: 'incidents', topic: 'All well' });
      assert.ok(receiver.requests.length >= 6);
      for (const { headers, body } of receiver.requests) {
        const signed = { 'x-slack-signature': headers['x-slack-signature'], 'x-slack-request-timestamp': Number(headers['x-slack-request-timestamp']) };
        verifySlackRequest({ signingSecret: secret, body, headers: signed });
        assert.equal(isValidSlackRequest({ signingSecret: secret, body: `${body} `, headers: signed }), false);
        assert.equal(isValidSlackRequest({ signingSecret: 'other', body, headers: signed }), false);
      }
      const bodies = receiver.requests.map(({ body }) => JSON.parse(body));
      assert.equal(bodies[0].type, 'url_verification');
      const kinds = bodies.slice(1).map(({ event }) => [event.type, event.subtype].filter(Boolean).join('.'));
      for (const kind of ['message', 'message.message_changed', 'reaction_added', 'message.message_deleted']) assert.ok(kinds.includes(kind), `${kind} in ${kinds}`);
      assert.equal(new Set(bodies.slice(1).map((body) => body.event_id)).size, bodies.length - 1);
    } finally {
      await receiver.stop();
    }
  });
});
