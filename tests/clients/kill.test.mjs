// kill -9 at random moments while deliveries stream in, on SQLite and on PostgreSQL: what was acknowledged is applied once, the
// end is that of a process that was never killed, and whoever comes back with a cursor saw everything once.
//
//   MULLION_TEST_SEED         the dice; told by every run
//   MULLION_TEST_DELIVERIES   how many deliveries; default 5000
//   MULLION_TEST_KILLS        how often it is killed; default 30
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { followSocket, followStream } from './followers.mjs';
import { dice } from './graphs.mjs';
import { data, startSandbox, startServe, until } from './harness.mjs';
import { history, stateOf, titleIn } from './history.mjs';
import { dealt, repeated, shuffled, startSenders } from './senders.mjs';

const SEED = Number(process.env.MULLION_TEST_SEED ?? Date.now() % 1_000_000);
const VERSIONS = 25;
const ISSUES = Math.ceil(Number(process.env.MULLION_TEST_DELIVERIES ?? 5_000) / VERSIONS);
const KILLS = Number(process.env.MULLION_TEST_KILLS ?? 30);
const SENDERS = 16;
const SECRET = 'the-secret-that-survives';
/** In all, for everything that is still to be applied or told. */
const LONG = 120_000;

const happened = history(dice(SEED), { issues: ISSUES, versions: VERSIONS });
const titles = happened.map(({ title }) => title).sort();

/** A gateway with a GitHub integration whose webhooks come to `hook`. */
async function startOurs(sandbox, env) {
  const serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIVE_EVENT_STREAM_KEEP_ALIVE_SECONDS: '1', ...env } });
  const key = serve.key('acme', 'admin');
  const ask = serve.as(key);
  const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }', { input: { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` } })).connectIntegration;
  return { serve, key, ask, integration: integration.id, hook: integration.webhookUrl, begin: data(await ask('{ eventCursor }')).eventCursor };
}

/** Kills it and starts it again, at random moments of `progress()`, which goes from 0 to `whole`; some starts are killed, too. */
async function killAtRandom(roll, serve, progress, whole) {
  const marks = Array.from({ length: KILLS }, () => roll(whole)).sort((one, other) => one - other);
  for (const mark of marks) {
    await until(() => progress() >= mark, () => `only ${progress()} of ${mark}`, LONG);
    await new Promise((later) => setTimeout(later, roll(20)));
    await serve.kill();
    if (roll(4) === 0) await serve.interruptedStart(roll(150));
    await serve.restart();
  }
}

/** The activities of the stream, from its beginning, as somebody sees them who comes now. */
async function told({ serve, key, begin }, count) {
  const fresh = followSocket(serve.socketUrl, key, begin);
  await allSeen(fresh, count);
  fresh.stop();
  return fresh.seen;
}
const allSeen = (follower, count) => until(() => {
  if (follower.failure) throw follower.failure;
  return follower.seen.length >= count;
}, () => `${count} activities, only ${follower.seen.length}`, LONG);

/** The deliveries of the inbox: state and id. */
async function inbox(ask) {
  const nodes = [];
  for (let cursor; cursor !== null;) {
    const { webhookDeliveries: page } = data(await ask('query ($after: String) { webhookDeliveries(first: 100, after: $after) { nodes { deliveryId state } pageInfo { hasNextPage endCursor } } }', { after: cursor }));
    nodes.push(...page.nodes);
    cursor = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  }
  return nodes;
}

/** What comes of it in order, each once, in a process that nobody kills: for each issue one sender. */
async function inOrder() {
  const sandbox = await startSandbox();
  const ours = await startOurs(sandbox);
  const queues = Array.from({ length: SENDERS }, (_, sender) => happened.filter(({ issue }) => issue % SENDERS === sender));
  await startSenders(ours.hook, queues, SECRET).done;
  await told(ours, happened.length);
  const state = await stateOf(ours.ask, ours.integration, ISSUES);
  await Promise.all([ours.serve.stop(), sandbox.stop()]);
  return state;
}
let reference;

for (const [name, settings] of [
  ['SQLite', () => ({})],
  // That of the tests throws its data away, and flushes nothing.
  ['PostgreSQL', () => ({ DATABASE_URL: newDatabase().href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true' })],
]) {
  describe(`${happened.length} deliveries and ${KILLS} kills on ${name}`, { timeout: 1_200_000 }, () => {
    const roll = dice(SEED + 1);
    let sandbox;
    let ours;
    let followers;
    before(async () => {
      sandbox = await startSandbox();
      ours = await startOurs(sandbox, settings());
      followers = [followSocket(ours.serve.socketUrl, ours.key, ours.begin), followStream(`${ours.serve.url}/graphql/stream`, ours.key, ours.begin)];
    });
    after(async () => {
      for (const follower of followers ?? []) await follower.stop();
      await ours?.serve.stop();
      await sandbox?.stop();
    });

    test('everything that was acknowledged is applied and told exactly once', async (context) => {
      context.diagnostic(`MULLION_TEST_SEED=${SEED}`);
      const sent = repeated(roll, happened, 10);
      const senders = startSenders(ours.hook, dealt(shuffled(roll, sent), SENDERS), SECRET);
      await killAtRandom(roll, ours.serve, () => senders.acknowledged + followers[0].seen.length, sent.length + happened.length);
      await senders.done;
      for (const follower of followers) await allSeen(follower, happened.length);
      context.diagnostic(`sent again ${senders.again} times; sockets closed ${followers[0].closes.length} times, event streams opened ${followers[1].connections} times`);
      const all = await told(ours, happened.length);
      assert.deepEqual(all.map(({ summary }) => titleIn(summary)).sort(), titles);
      for (const follower of followers) assert.deepEqual(follower.seen, all);
      const rows = await inbox(ours.ask);
      assert.deepEqual(rows.filter(({ state }) => state !== 'APPLIED'), []);
      assert.deepEqual(rows.map(({ deliveryId }) => deliveryId).sort(), happened.map(({ id }) => id).sort());
    });

    test('the end is what comes of it in order', async () => {
      const expected = await (reference ??= inOrder());
      const last = new Map(happened.map(({ issue, title }) => [issue, title]));
      for (const node of expected) if (node?.title) assert.equal(node.title, last.get(node.number));
      assert.deepEqual(await stateOf(ours.ask, ours.integration, ISSUES), expected);
    });
  });
}
