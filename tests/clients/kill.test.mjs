// kill -9 at random moments while deliveries stream in, on SQLite and on PostgreSQL: what was acknowledged is applied once, the
// end is that of a process that was never killed, and whoever comes back with a cursor saw everything once.
//
//   MULLION_TEST_SEED   the dice; every run tells which it had
//   MULLION_TEST_LONG   1: 5,000 deliveries instead of 1,000
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { followSocket, followStream } from './followers.mjs';
import { dice } from './graphs.mjs';
import { data, LONG, startSandbox, startServe, until } from './harness.mjs';
import { history, stateOf, titleIn } from './history.mjs';
import { dealt, repeated, shuffled, startSenders } from './senders.mjs';

const SEED = Number(process.env.MULLION_TEST_SEED ?? Date.now() % 1_000_000);
const VERSIONS = 25;
const ISSUES = (LONG ? 5_000 : 1_000) / VERSIONS;
/** While deliveries come in, and while they are applied: on PostgreSQL each of these waits for the lease of the one that died. */
const KILLS = LONG ? { incoming: 15, applying: 15 } : { incoming: 24, applying: 6 };
const SENDERS = 16;
const SECRET = 'the-secret-that-survives';
/** For everything that is still to be applied or told. */
const ALL = 120_000;

const happened = history(dice(SEED), { issues: ISSUES, versions: VERSIONS });
const titles = happened.map(({ title }) => title).sort();

/** A gateway with a GitHub integration whose webhooks come to `hook`; its keep-alives come often. */
async function startOurs(sandbox, env) {
  const serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIVE_EVENT_STREAM_KEEP_ALIVE_SECONDS: '1', MULLION_LIVE_PING_SECONDS: '1', ...env } });
  const key = serve.key('acme', 'admin');
  const ask = serve.as(key);
  const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id webhookUrl } } }', { input: { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` } })).connectIntegration;
  // GitHub knows nothing of what is delivered here. It does not answer, so that all that is known is what was delivered.
  await sandbox.fault({ provider: 'github', kind: 'server_error' });
  return { serve, key, ask, integration: integration.id, hook: integration.webhookUrl, begin: data(await ask('{ eventCursor }')).eventCursor };
}

/** Kills it and starts it again, at random moments on the way of each of the two numbers to its end; some starts are killed, too. */
async function killAtRandom(roll, serve, ways) {
  const marks = ways.flatMap(({ kills, now, end }) => Array.from({ length: kills }, () => ({ now, mark: roll(end) })));
  while (marks.length > 0) {
    const due = () => marks.findIndex(({ now, mark }) => now() >= mark);
    await until(() => due() >= 0, () => `${marks.length} more kills, at ${ways.map(({ now }) => now())}`, ALL);
    marks.splice(due(), 1);
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
}, () => `${count} activities, only ${follower.seen.length}, not ${missing(follower)}`, ALL);
/** What a follower did not see. */
function missing({ seen }) {
  const shown = new Set(seen.map(({ summary }) => titleIn(summary)));
  return titles.filter((title) => !shown.has(title)).slice(0, 20).join(', ');
}

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

// At the same time: on PostgreSQL most of it is waiting for leases.
describe(`${happened.length} deliveries`, { timeout: 1_200_000, concurrency: true }, () => {
  for (const [name, settings] of [
    ['SQLite', () => ({})],
    // That of the tests throws its data away, and flushes nothing.
    ['PostgreSQL', () => ({ DATABASE_URL: newDatabase().href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true' })],
  ]) {
    describe(`and kills on ${name}`, { concurrency: false }, () => {
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
        await killAtRandom(roll, ours.serve, [
          { kills: KILLS.incoming, now: () => senders.acknowledged, end: sent.length },
          { kills: KILLS.applying, now: () => followers[0].seen.length, end: happened.length },
        ]);
        await senders.done;
        for (const follower of followers) await allSeen(follower, happened.length);
        context.diagnostic(`sent again ${senders.again} times; sockets closed ${followers[0].closes.length} times, event streams opened ${followers[1].connections} times`);
        const all = await told(ours, happened.length);
        assert.deepEqual(all.map(({ summary }) => titleIn(summary)).sort(), titles);
        // Sentences are worded when they are read: an issue has its title of that time.
        const recognised = (seen) => seen.map(({ summary, ...rest }) => ({ ...rest, title: titleIn(summary) }));
        for (const follower of followers) assert.deepEqual(recognised(follower.seen), recognised(all));
        const rows = await inbox(ours.ask);
        assert.deepEqual(rows.filter(({ state }) => state !== 'APPLIED'), []);
        assert.deepEqual(rows.map(({ deliveryId }) => deliveryId).sort(), happened.map(({ id }) => id).sort());
      });

      test('the end is what comes of it in order', async () => {
        const expected = await (reference ??= inOrder());
        const last = new Map(happened.map(({ issue, title }) => [issue, title]));
        for (const node of expected) if (node?.title) assert.equal(node.title, last.get(node.number));
        const actual = await stateOf(ours.ask, ours.integration, ISSUES);
        for (const [index, node] of actual.entries()) assert.deepEqual(node, expected[index]);
      });
    });
  }
});
