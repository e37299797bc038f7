// The inbox as administrators see it: what was parked is found and replayed, what cannot be stored is refused, what is old goes.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { binary, data, DEV_SECRET, run, startDev, startSandbox, startServe, until } from './harness.mjs';

const FIELDS = 'id provider { key } integration { name } event deliveryId source state attempts receivedAt settledAt error nextAttemptAt size';
const DELIVERIES = `query ($filter: WebhookDeliveryFilter, $first: Int, $after: String) { webhookDeliveries(filter: $filter, first: $first, after: $after) { nodes { ${FIELDS} } pageInfo { hasNextPage endCursor } } }`;
const REPLAY = 'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { delivery { id state attempts } } }';

const payload = (title) => JSON.stringify({ type: 'event_callback', event_id: `Ev${title}`, team_id: 'T0', event: { type: 'message', channel: 'C_INBOX', user: 'U_INBOX', text: title, ts: '1790000000.000100', event_ts: '1790000000.000100', channel_type: 'channel' } });
function slack(url, secret, body) {
  const at = String(Math.floor(Date.now() / 1000));
  const signature = `v0=${createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex')}`;
  return fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-slack-request-timestamp': at, 'x-slack-signature': signature } });
}

describe('deliveries in the graph and on the command line', () => {
  let dev;
  before(async () => { dev = await startDev(); });
  after(() => dev?.stop());
  const send = (title) => slack(`${dev.url}/webhooks/slack/slack-dev`, DEV_SECRET, payload(title));
  const list = async (filter, first = 100, cursor) => data(await dev.query(DELIVERIES, { filter, first, after: cursor })).webhookDeliveries;
  const cli = (...args) => run(['webhooks', ...args], { MULLION_DATA: dev.data }).trim();
  const settled = (id) => until(async () => (await list()).nodes.find((node) => node.deliveryId === id && node.settledAt), `${id} is settled`);

  test('a delivery is shown with what became of it, and not with what it says', async () => {
    assert.equal((await send('one')).status, 200);
    const shown = await settled('Evone');
    assert.deepEqual({ ...shown, id: '', receivedAt: '', settledAt: '' }, { id: '', provider: { key: 'slack' }, integration: shown.integration, event: 'message', deliveryId: 'Evone', source: 'WEBHOOK', state: 'APPLIED', attempts: 1, receivedAt: '', settledAt: '', error: null, nextAttemptAt: null, size: payload('one').length });
    assert.ok(shown.settledAt >= shown.receivedAt);
    const line = cli('list', '--provider', 'slack', '--event', 'message', '--limit', '1');
    assert.match(line, /slack {2}message {2}applied {2}by webhook {2}tried 1/);
    const object = JSON.parse(cli('list', '--provider', 'slack', '--json', '--limit', '1'));
    assert.deepEqual([object.deliveryId, object.source, object.state, object.receivedAt], ['Evone', 'WEBHOOK', 'APPLIED', shown.receivedAt.replace(/(\.\d{3})\d*Z/, '$1Z')]);
    for (const id of [object.id, shown.id]) assert.match(cli('show', id), /state +applied/);
  });

  test('the command line finds its database by --data, and says what it did not find', () => {
    const ask = (...args) => spawnSync(binary(), ['webhooks', ...args], { encoding: 'utf8', env: { PATH: process.env.PATH } });
    assert.match(ask('list', '--data', dev.data).stdout, /slack {2}message/);
    for (const [args, status, said] of [
      [['--state', 'parked'], 0, /^no delivery matches\n$/],
      [['--integration', 'nobody'], 1, /there is no integration nobody/],
      [['--tenant', 'nobody'], 1, /there is no tenant nobody/],
      [['--provider', 'gihub'], 2, /possible values: .*github/],
      [['--after', 'yesterday'], 2, /'yesterday'.*a time with its zone, as 2026-11-22T10:00:00Z/],
    ]) {
      const answer = ask('list', '--data', dev.data, ...args);
      assert.deepEqual([answer.status, answer.stdout], [status, ''], args.join(' '));
      assert.match(answer.stderr, said);
    }
    const elsewhere = spawnSync(binary(), ['webhooks', 'list', '--data', dev.data], { encoding: 'utf8', env: { PATH: process.env.PATH, DATABASE_URL: 'postgres://nowhere/x' } });
    assert.match(elsewhere.stderr, /leave one out/);
  });

  test('replaying what was applied changes nothing and tells nobody twice', async () => {
    const told = async () => data(await dev.query('{ activity(first: 100) { nodes { summary } } }')).activity.nodes.length;
    const { id } = await settled('Evone');
    const [before, { eventCursor }] = [await told(), data(await dev.query('{ eventCursor }'))];
    const { delivery } = data(await dev.query(REPLAY, { id })).replayWebhookDelivery;
    assert.deepEqual(delivery, { id, state: 'RECEIVED', attempts: 0 });
    assert.equal((await settled('Evone')).state, 'APPLIED');
    const { id: row } = JSON.parse(cli('show', id, '--json'));
    assert.match(cli('replay', id), new RegExp(`^it waits again: .*mullion webhooks show ${row}`));
    assert.equal((await settled('Evone')).attempts, 1);
    assert.deepEqual(data(await dev.query(REPLAY, { id: row })).replayWebhookDelivery.delivery, { id, state: 'RECEIVED', attempts: 0 }, 'the graph takes the id of the command line, too');
    assert.equal((await settled('Evone')).attempts, 1);
    assert.deepEqual([await told(), data(await dev.query('{ eventCursor }')).eventCursor], [before, eventCursor]);
    assert.equal((await send('one')).status, 200, 'and it is still a duplicate');
    assert.equal((await list({ providers: ['slack'] })).nodes.length, 1);
  });

  test('pages and filters', async () => {
    for (const title of ['two', 'three']) await send(title);
    await Promise.all(['Evtwo', 'Evthree'].map(settled));
    const first = await list({ providers: ['slack'] }, 2);
    assert.deepEqual([first.nodes.map((node) => node.deliveryId), first.pageInfo.hasNextPage], [['Evthree', 'Evtwo'], true]);
    const rest = await list({ providers: ['slack'] }, 2, first.pageInfo.endCursor);
    assert.deepEqual([rest.nodes.map((node) => node.deliveryId), rest.pageInfo.hasNextPage], [['Evone'], false]);
    assert.deepEqual((await list({ providers: ['slack'], receivedAfter: first.nodes[0].receivedAt })).nodes.map((node) => node.deliveryId), ['Evthree']);
    for (const filter of [{ states: ['PARKED'] }, { providers: ['asana'] }, { events: ['mess'] }, { integrationIds: [] }]) assert.deepEqual((await list(filter)).nodes, [], JSON.stringify(filter));
    const unknown = await dev.query(REPLAY, { id: Buffer.from('o\nWebhookDelivery\nnone').toString('base64url') });
    assert.equal(unknown.errors[0].extensions.code, 'NOT_FOUND');
    assert.equal((await dev.query(REPLAY, { id: '01AAAAAAAAAAAAAAAAAAAAAAAA' })).errors[0].extensions.code, 'NOT_FOUND');
    const typo = await dev.query(DELIVERIES, { filter: { providers: ['gihub'] } });
    assert.equal(typo.errors[0].extensions.code, 'BAD_USER_INPUT');
  });
});

describe('with PostgreSQL', () => {
  let sandbox;
  let serve;
  let url;
  let hook;
  const SECRET = 'the-signing-secret';
  const psql = (sql) => {
    const { status, stdout, stderr, error } = spawnSync('psql', ['-v', 'ON_ERROR_STOP=1', '-Atc', sql, url.href], { encoding: 'utf8' });
    assert.equal(status, 0, error?.message ?? stderr);
    return stdout.trim();
  };
  before(async () => {
    assert.ok(process.env.MULLION_TEST_POSTGRES_URL, 'set MULLION_TEST_POSTGRES_URL, or run tests/run, which starts a server');
    url = new URL(process.env.MULLION_TEST_POSTGRES_URL);
    const name = `inbox_${randomUUID().replaceAll('-', '')}`;
    psql(`CREATE DATABASE ${name}`);
    url.pathname = name;
    sandbox = await startSandbox();
    serve = await startServe({ env: { DATABASE_URL: url.href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true', MULLION_WEBHOOKS_MAX_QUEUED: '2', MULLION_WEBHOOKS_MAX_ATTEMPTS: '1', MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host } });
    const input = { provider: 'slack', name: 'Ours', token: 'xoxb-anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/slack/api` };
    const ask = serve.as(serve.key('acme', 'admin'));
    hook = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { webhookUrl } } }', { input })).connectIntegration.integration.webhookUrl;
  });
  after(async () => {
    await serve?.stop();
    await sandbox?.stop();
  });
  const send = (title) => slack(hook, SECRET, payload(title));

  test('what waits too long in too great a number is refused at once, and what was taken is kept', async () => {
    assert.equal((await send('before')).status, 200);
    const lock = spawn('psql', ['-v', 'ON_ERROR_STOP=1', url.href], { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    lock.stdout.setEncoding('utf8').on('data', (text) => { said += text; });
    lock.stdin.write('BEGIN; LOCK TABLE delivery IN EXCLUSIVE MODE;\n\\echo locked\n');
    await until(() => said.includes('locked'), 'the lock');
    const sent = [];
    let refused;
    for (let index = 0; !refused; index += 1) {
      assert.ok(index < 10, 'one is being written, two wait: the next is refused');
      const answer = send(`held-${index}`);
      sent.push(answer);
      // A refused sender is told at once; the others wait for the disk.
      refused = await Promise.race([answer, new Promise((later) => setTimeout(later, 300))]);
    }
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
    lock.stdin.end('COMMIT;\n');
    const statuses = (await Promise.all(sent)).map(({ status }) => status);
    assert.deepEqual(statuses.filter((status) => status === 200).length, statuses.length - 1, `${statuses}`);
    assert.match(await (await fetch(`${serve.admin}/metrics`)).text(), /deliveries_total\{provider="slack",result="overloaded"\} 1/);
    assert.equal(psql("SELECT count(*) FROM delivery WHERE dedupe_key LIKE 'id:Evheld-%'"), String(statuses.length - 1));
    assert.equal((await send(`held-${statuses.length - 1}`)).status, 200, 'and is taken when it comes again');
  });

  test('what cannot be applied is parked with its error, found and replayed', async () => {
    psql('ALTER TABLE change RENAME TO change_away');
    assert.equal((await send('poison')).status, 200);
    const parked = await until(() => run(['webhooks', 'list', '--state', 'parked', '--json'], serve.settings).trim(), 'it is parked');
    const { id, state, error, attempts } = JSON.parse(parked);
    assert.deepEqual([state, attempts], ['PARKED', 1]);
    assert.match(error, /change/);
    psql('ALTER TABLE change_away RENAME TO change');
    run(['webhooks', 'replay', id], serve.settings);
    await until(() => JSON.parse(run(['webhooks', 'show', id, '--json'], serve.settings)).state === 'APPLIED', 'it is applied');
  });
});

describe('the stream', () => {
  /** The first answer, or `silence` when none comes for a while. Whoever stays would keep what it missed in memory for the others. */
  const subscribe = (serve, key, query) => new Promise((resolve, reject) => {
    const client = createClient({ url: serve.socketUrl, webSocketImpl: WebSocket, connectionParams: { authorization: `Bearer ${key}` }, retryAttempts: 0 });
    const done = async (value) => {
      await client.dispose();
      resolve(value);
    };
    setTimeout(done, 300, 'silence').unref();
    client.subscribe({ query }, { next: done, error: (error) => done(error), complete: () => reject(new Error('complete')) });
  });

  test('forgets what is too much; a cursor from before gets a snapshot or CURSOR_EXPIRED', async () => {
    const serve = await startServe({ env: { MULLION_LIVE_RETENTION_CHANGES: '1' } });
    const key = serve.key('acme', 'admin');
    const ask = serve.as(key);
    const create = async (name) => data(await ask(`mutation { createDashboard(input: { name: "${name}" }) { dashboard { id } } }`)).createDashboard.dashboard.id;
    const id = await create('One');
    const { eventCursor } = data(await ask('{ eventCursor }'));
    for (const name of ['Two', 'Three', 'Four']) await create(name);
    const { eventCursor: head } = data(await ask('{ eventCursor }'));
    // The surplus is removed when it starts, and then once a minute.
    await serve.restart();
    const activity = (after) => `subscription { activity(after: "${after}") { cursor } }`;
    await until(async () => {
      return JSON.stringify(await subscribe(serve, key, activity(eventCursor))).includes('CURSOR_EXPIRED');
    }, 'the cursor is too old');
    const snapshot = await subscribe(serve, key, `subscription { dashboardUpdated(id: "${id}", after: "${eventCursor}") { reason } }`);
    assert.match(JSON.stringify(snapshot), /SNAPSHOT/);
    assert.equal(await subscribe(serve, key, activity(head)), 'silence', 'the newest cursor is as good as ever');
    await serve.stop();
  });
});
