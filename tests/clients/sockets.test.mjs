// A thousand sockets that follow all activities under load, and are cut off in every way there is: each comes back with its
// cursor, and in the end each has seen everything, once, in order.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { followSocket } from './followers.mjs';
import { dice } from './graphs.mjs';
import { data, LONG, startSandbox, startServe, until } from './harness.mjs';
import { history } from './history.mjs';
import { dealt, repeated, shuffled, startSenders } from './senders.mjs';

const SEED = Number(process.env.MULLION_TEST_SEED ?? Date.now() % 1_000_000);
const SECRET = 'the-secret-of-a-thousand';
const SOCKETS = 1_000;
/** Of them, cut off by a reset in the middle of it all. */
const RESET = 500;
const KILLS = 2;
/** Others that ask for much and read nothing of it. */
const SLOW = 10;
const ISSUES = LONG ? 100 : 25;
const TEXT = 'Said again and again. '.repeat(500);
const LARGE = `subscription ($after: EventCursor) { activity(after: $after) { id cursor summary subject { ... on GithubIssue { ${Array.from({ length: 40 }, (_, number) => `t${number}: bodyText`).join(' ')} } } } }`;
const ALL = 60_000;

describe(`${SOCKETS} sockets under load`, { timeout: 600_000 }, () => {
  const roll = dice(SEED);
  const happened = history(roll, { issues: ISSUES, versions: 8, text: TEXT });
  let sandbox;
  let serve;
  let key;
  let hook;
  let begin;
  let followers;
  before(async () => {
    sandbox = await startSandbox();
    serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIVE_PING_SECONDS: '1' } });
    key = serve.key('acme', 'admin');
    const input = { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` };
    hook = data(await serve.as(key)('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { webhookUrl } } }', { input })).connectIntegration.integration.webhookUrl;
    begin = await cursor();
    followers = Array.from({ length: SOCKETS }, () => followSocket(serve.socketUrl, key, begin));
    await operations(SOCKETS);
  });
  after(async () => {
    for (const follower of followers ?? []) follower.stop();
    await serve?.stop();
    await sandbox?.stop();
  });

  const cursor = async () => data(await serve.as(key)('{ eventCursor }')).eventCursor;
  const metric = async (name) => Number((await (await fetch(`${serve.admin}/metrics`)).text()).split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
  /** Sockets that the gateway closed, for whatever reason. */
  const closed = async () => {
    const lines = (await (await fetch(`${serve.admin}/metrics`)).text()).split('\n').filter((line) => line.startsWith('mullion_socket_closes_total{'));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const operations = (count) => until(async () => await metric('mullion_socket_operations') === count, `${count} subscriptions`, ALL);
  const send = (deliveries) => startSenders(hook, dealt(shuffled(roll, repeated(roll, deliveries, 10)), 8), SECRET);
  const seenBy = (some, count) => until(() => {
    for (const { failure } of some) if (failure) throw failure;
    return some.every(({ seen }) => seen.length >= count);
  }, () => `${count} at all, but at ${some.filter(({ seen }) => seen.length < count).length} of ${some.length} less: ${some.map(({ seen }) => seen.length).filter((length) => length < count).slice(0, 5)}`, ALL);
  /** What somebody sees who comes now. */
  const told = async (from, count) => {
    const fresh = followSocket(serve.socketUrl, key, from);
    await seenBy([fresh], count);
    fresh.stop();
    return fresh.seen.map(({ id }) => id);
  };
  const assertSame = (some, all) => {
    for (const { seen } of some) assert.deepEqual(seen.map(({ id }) => id), all);
  };

  test('that are reset, and whose gateway is killed, miss nothing', async (context) => {
    context.diagnostic(`MULLION_TEST_SEED=${SEED}`);
    const sent = happened.slice(0, happened.length / 2);
    const senders = send(sent);
    const marks = followers.slice(0, RESET).map((follower) => ({ follower, mark: roll(sent.length) }));
    const kills = Array.from({ length: KILLS }, () => roll(sent.length)).sort((one, other) => one - other);
    const reset = until(() => {
      for (const one of marks) {
        if (one.done || one.follower.seen.length < one.mark || one.follower.web()?.readyState !== 1) continue;
        one.follower.web()._socket.resetAndDestroy();
        one.done = true;
      }
      return marks.every(({ done }) => done);
    }, () => `${marks.filter(({ done }) => !done).length} more resets`, ALL);
    for (const mark of kills) {
      await until(() => followers[0].seen.length >= mark, () => `a kill at ${mark}, but ${followers[0].seen.length}`, ALL);
      await serve.kill();
      await serve.restart();
    }
    await Promise.all([reset, senders.done]);
    await seenBy(followers, sent.length);
    assertSame(followers, await told(begin, sent.length));
    const closes = followers.map(({ closes: codes }) => codes.length);
    assert.ok(closes.every((count) => count >= 1), 'each was cut off');
    context.diagnostic(`closed ${closes.reduce((sum, count) => sum + count, 0)} times`);
  });

  test('are not kept waiting by those that read nothing; these are closed, come back, and miss nothing', async () => {
    const from = await cursor();
    const slow = Array.from({ length: SLOW }, () => followSocket(serve.socketUrl, key, from, { query: LARGE }));
    await operations(SOCKETS + SLOW);
    const before = await closed();
    for (const { web } of slow) web()._socket.pause();
    await send(happened.slice(happened.length / 2)).done;
    await seenBy(followers, happened.length);
    // For what they did not read, or for pings that they did not answer: whichever is found first.
    await until(async () => await closed() >= before + SLOW, 'all that read nothing are closed', ALL);
    for (const { web } of slow) web()._socket.resume();
    await seenBy(slow, happened.length / 2);
    const all = await told(begin, happened.length);
    assertSame(followers, all);
    assertSame(slow, all.slice(happened.length / 2));
    for (const follower of slow) follower.stop();
  });
});
