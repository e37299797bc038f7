// Bad input over HTTP, WebSocket and webhooks: each gets its documented error; the process and the other clients live on.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect, dashboardId, socket, widgetId } from './graphs.mjs';
import { data, DEV_SECRET, startDev } from './harness.mjs';

let dev;
let foreign;
let bystander;
let watch;

before(async () => {
  [dev, foreign] = await Promise.all([startDev(), startDev()]);
  bystander = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
  watch = collect(bystander.iterate({ query: 'subscription { activity { kind summary } }' }));
});
after(async () => {
  await bystander?.dispose();
  await Promise.all([dev?.stop(), foreign?.stop()]);
});

/** A request with any headers, Host too. */
function raw(path, { method = 'POST', headers = {}, body } = {}) {
  return new Promise((done, failed) => {
    const request = httpRequest(new URL(path, dev.url), { method, headers: { 'content-type': 'application/json', ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          // Not every refusal is JSON.
        }
        done({ status: response.statusCode, headers: response.headers, text, json });
      });
    });
    request.on('error', (error) => (error.code === 'EPIPE' || error.code === 'ECONNRESET' ? undefined : failed(error)));
    request.end(body);
  });
}
const json = (value) => JSON.stringify(value);
const code = (answer) => answer.errors?.[0]?.extensions?.code;

describe('HTTP', () => {
  const query = json({ query: '{ eventCursor }' });
  const requests = [
    ['malformed JSON', { body: '{"query":' }, 400],
    ['no body', { body: '' }, 400],
    ['a list', { body: `[${query}]` }, 400],
    ['a text', { body: '"{ eventCursor }"' }, 400],
    ['no UTF-8', { body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) }, 400],
    ['JSON that is nested too deep', { body: `{"query":"{ eventCursor }","variables":{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}}` }, 400],
    ['no query', { body: '{}' }, 400],
    ['a query that is no text', { body: json({ query: 1 }) }, 400],
    ['variables that are no object', { body: json({ query: '{ eventCursor }', variables: [1] }) }, 400],
    ['an operationName that is no text', { body: json({ query: '{ eventCursor }', operationName: 7 }) }, 400],
    ['another content type', { body: query, headers: { 'content-type': 'text/plain' } }, 415],
    ['a form', { body: 'query={eventCursor}', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['more than a megabyte', { body: json({ query: `# ${'x'.repeat(1 << 20)}\n{ eventCursor }` }) }, 413],
    ['PUT', { method: 'PUT', body: query }, 405],
    ['DELETE', { method: 'DELETE' }, 405],
    ['another host (DNS rebinding)', { body: query, headers: { host: 'evil.example' } }, [400, 403, 421]],
    ['another origin', { body: query, headers: { origin: 'https://evil.example' } }, 403],
    ['the origin null', { body: query, headers: { origin: 'null' } }, 403],
  ];
  for (const [name, request, expected] of requests) {
    test(`${name}: ${expected}`, async () => {
      const { status, text } = await raw('/graphql', request);
      assert.ok([expected].flat().includes(status), `${status} ${text.slice(0, 300)}`);
    });
  }

  test('GET runs no mutation, and no query for another site\'s page', async () => {
    const get = (document, headers) => raw(`/graphql?${new URLSearchParams({ query: document })}`, { method: 'GET', headers: { accept: 'application/json', ...headers } });
    assert.equal((await get('mutation { deleteDashboard(id: "x") { deletedId } }')).status, 405);
    assert.equal((await get('{ eventCursor }', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })).status, 403);
    assert.equal((await get('{ eventCursor }')).status, 200);
  });

  test('the sandbox\'s control API refuses other origins and hosts too', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { host: 'evil.example' }]) {
      const status = await new Promise((done, failed) => httpRequest(`${dev.sandbox}/_sandbox/github/star`, { method: 'POST', headers }, (response) => { response.resume(); done(response.statusCode); }).on('error', failed).end('{}'));
      assert.ok([400, 403, 421].includes(status), String(status));
    }
  });

  const fragments = Array.from({ length: 30 }, (_, n) => `fragment F${n} on Query { ${n < 29 ? `...F${n + 1} ...F${n + 1}` : 'eventCursor'} }`).join('\n');
  const parents = (depth) => `{ asana { task(gid: "1") ${'{ parent '.repeat(depth)}{ id }${' }'.repeat(depth)} } }`;
  const documents = [
    ['an empty document', '', ['GRAPHQL_PARSE_FAILED']],
    ['a comment only', '# nothing', ['GRAPHQL_PARSE_FAILED']],
    ['an open brace', '{', ['GRAPHQL_PARSE_FAILED']],
    ['a character that is none', '{ eventCursor \u0000 }', ['GRAPHQL_PARSE_FAILED']],
    ['an unknown field', '{ nothing }', ['GRAPHQL_VALIDATION_FAILED']],
    ['an unknown argument', '{ dashboard(slag: "team") { id } }', ['GRAPHQL_VALIDATION_FAILED']],
    ['a field of another type', '{ dashboard(slug: "team") { items { id } } }', ['GRAPHQL_VALIDATION_FAILED']],
    ['a leaf with a selection', '{ eventCursor { id } }', ['GRAPHQL_VALIDATION_FAILED']],
    ['an object without a selection', '{ dashboard(slug: "team") }', ['GRAPHQL_VALIDATION_FAILED']],
    ['a literal of a wrong type', '{ dashboards(first: "ten") { nodes { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['an integer that is too large', '{ dashboards(first: 99999999999) { nodes { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['an unknown enum value', '{ workItems(filter: { states: [SOMEDAY] }) { nodes { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['an unknown field of an input', '{ workItems(filter: { colour: "red" }) { nodes { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['a fragment that is not there', '{ ...Nothing }', ['GRAPHQL_VALIDATION_FAILED']],
    ['fragments in a circle', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }', ['GRAPHQL_VALIDATION_FAILED', 'OPERATION_TOO_COMPLEX']],
    ['a fragment bomb', `{ ...F0 }\n${fragments}`, ['OPERATION_TOO_COMPLEX']],
    ['11,000 tokens', `{ ${'__typename '.repeat(11_000)} }`, ['OPERATION_TOO_COMPLEX']],
    ['101 aliases', `{ ${Array.from({ length: 101 }, (_, n) => `a${n}: eventCursor`).join(' ')} }`, ['OPERATION_TOO_COMPLEX']],
    ['deeply nested values', `{ nodes(ids: ${'['.repeat(5_000)}${']'.repeat(5_000)}) { id } }`, ['OPERATION_TOO_COMPLEX']],
    ['deeply nested selections', `${'{ a '.repeat(3_000)}${'}'.repeat(3_000)}`, ['OPERATION_TOO_COMPLEX']],
    ['deeply nested types of a variable', `query ($a: ${'['.repeat(2_000)}Int${']'.repeat(2_000)}) { eventCursor }`, ['OPERATION_TOO_COMPLEX']],
    ['20 levels', parents(18), ['OPERATION_TOO_COMPLEX']],
    ['a million nodes', '{ github { repositories(first: 100) { nodes { issues(first: 100) { nodes { comments(first: 100) { nodes { id } } } } } } } }', ['OPERATION_TOO_COMPLEX']],
    ['a subscription of two fields', 'subscription { activity { id } nodeChanged(ids: []) { deleted } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['first of 0', '{ activity(first: 0) { nodes { id } } }', ['BAD_USER_INPUT']],
    ['first of 101', '{ activity(first: 101) { nodes { id } } }', ['BAD_USER_INPUT']],
    ['a cursor that is none', '{ activity(first: 1, after: "nonsense") { nodes { id } } }', ['BAD_USER_INPUT']],
    ['a channel by two names', '{ slack { channel(slackId: "C1", name: "general") { id } } }', ['BAD_USER_INPUT']],
    ['a source of no kind', 'mutation { addWidget(input: { dashboardId: "x", title: "t", source: {} }) { widget { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['a source of two kinds', 'mutation { addWidget(input: { dashboardId: "x", title: "t", source: { activity: {}, workItems: {} } }) { widget { id } } }', ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']],
    ['no token for an integration', 'mutation { connectIntegration(input: { provider: "github", name: "n", token: "" }) { integration { id } } }', ['BAD_USER_INPUT']],
    ['a provider that is none', 'mutation { connectIntegration(input: { provider: "nothing", name: "n", token: "t" }) { integration { id } } }', ['BAD_USER_INPUT']],
    ['a name of which nothing can be seen', 'mutation { createDashboard(input: { name: "\u200b\u2060" }) { dashboard { id } } }', ['BAD_USER_INPUT']],
    ['a name of controls of direction', 'mutation { createDashboard(input: { name: "\u202e\u202c" }) { dashboard { id } } }', ['BAD_USER_INPUT']],
    ['an integration whose name cannot be seen', 'mutation { connectIntegration(input: { provider: "github", name: "\ufeff", token: "t" }) { integration { id } } }', ['BAD_USER_INPUT']],
    ['a base URL of the metadata service', 'mutation { connectIntegration(input: { provider: "github", name: "n", token: "t", baseUrl: "http://169.254.169.254/" }) { integration { id } } }', ['BAD_USER_INPUT']],
  ];
  for (const [name, document, expected] of documents) {
    test(`${name}: ${expected.join(' or ')}`, async () => {
      const answer = await dev.query(document);
      assert.ok(expected.includes(code(answer)), json(answer).slice(0, 500));
      assert.ok(!/panick|stack|\.rs:\d/.test(json(answer)), json(answer));
    });
  }

  const variables = [
    ['a missing variable', 'query ($id: ID!) { node(id: $id) { id } }', {}],
    ['a variable of a wrong type', 'query ($first: Int) { dashboards(first: $first) { nodes { id } } }', { first: 'ten' }],
    ['null where none may be', 'query ($id: ID!) { node(id: $id) { id } }', { id: null }],
    ['an unknown key in an input', 'query ($filter: WorkItemFilter) { workItems(filter: $filter) { nodes { id } } }', { filter: { colour: 'red' } }],
    ['a date that is none', 'query ($filter: WorkItemFilter) { workItems(filter: $filter) { nodes { id } } }', { filter: { dueBefore: '2026-13-45' } }],
  ];
  for (const [name, document, values] of variables) {
    test(name, async () => {
      const answer = await dev.query(document, values);
      assert.ok(['BAD_USER_INPUT', 'GRAPHQL_VALIDATION_FAILED'].includes(code(answer)), json(answer));
    });
  }
});

describe('ids and cursors', () => {
  const malformed = ['', ' ', 'x', '0', '-1', 'null', '../../etc/passwd', '\u0000', '🦀', "' OR 1=1 --", 'R2l0aHViSXNzdWU6MQ==', 'x'.repeat(10_000)];
  test('malformed ids are null for node, and refused everywhere else', async () => {
    for (const id of malformed) {
      assert.deepEqual(await dev.query('query ($id: ID!) { node(id: $id) { id } }', { id }), { data: { node: null } });
      for (const document of ['query ($id: ID!) { dashboard(id: $id) { id } }', 'query ($id: ID!) { github(integrationId: $id) { id } }', 'query ($id: ID!) { workItems(filter: { containerIds: [$id] }) { nodes { id } } }', 'mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', 'mutation ($id: ID!) { removeWidget(id: $id) { deletedId } }']) {
        assert.equal(code(await dev.query(document, { id })), 'BAD_USER_INPUT', `${document} ${id.slice(0, 30)}`);
      }
    }
  });

  test('one wrong id among many does not spoil the others', async () => {
    const id = await dashboardId(dev);
    const answer = await dev.query('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: [id, 'nonsense', id] });
    assert.deepEqual(answer, { data: { nodes: [{ id }, null, { id }] } });
  });

  test('unknown and foreign ids answer the same: null, and NOT_FOUND in mutations', async () => {
    const dashboard = data(await foreign.query('mutation { createDashboard(input: { name: "Theirs" }) { dashboard { id } } }')).createDashboard.dashboard.id;
    const widget = await widgetId(foreign, 'WorkItemsWidget');
    for (const id of [dashboard, widget]) assert.deepEqual(await dev.query('query ($id: ID!) { node(id: $id) { id } }', { id }), { data: { node: null } });
    for (const [document, id] of [
      ['mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', dashboard],
      ['mutation ($id: ID!) { updateDashboard(input: { id: $id, name: "Mine" }) { dashboard { id } } }', dashboard],
      ['mutation ($id: ID!) { refreshWidget(id: $id) { widget { id } } }', widget],
      ['mutation ($id: ID!) { removeWidget(id: $id) { deletedId } }', widget],
    ]) assert.equal(code(await dev.query(document, { id })), 'NOT_FOUND', document);
  });

  test('an id of another type answers like an unknown one where a type is asked for', async () => {
    const id = await dashboardId(dev);
    assert.equal(code(await dev.query('mutation ($id: ID!) { removeWidget(id: $id) { deletedId } }', { id })), 'NOT_FOUND');
    assert.deepEqual(data(await dev.query('query ($id: ID!) { github(integrationId: $id) { id } }', { id })), { github: null });
  });

  test('a changed cursor is refused', async () => {
    const { eventCursor } = data(await dev.query('{ eventCursor }'));
    for (const after of [eventCursor.slice(0, -1), `${eventCursor}x`, [...eventCursor].reverse().join(''), eventCursor.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))]) {
      const raw = await socket(dev.socketUrl, { init: true });
      raw.send({ type: 'subscribe', id: '1', payload: { query: 'subscription ($after: EventCursor) { activity(after: $after) { id } }', variables: { after } } });
      const answer = await raw.next(({ type }) => type === 'error' || type === 'next', 'an error');
      const errors = answer.type === 'error' ? answer.payload : answer.payload.errors;
      assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT', json(answer));
      raw.close();
    }
  });
});

describe('WebSocket', () => {
  test('a page of another origin is refused', async () => {
    await assert.rejects(socket(dev.socketUrl, { headers: { origin: 'https://evil.example' } }), (error) => error.status === 403);
  });

  test('bad operations get an error, and the socket lives on', async () => {
    const raw = await socket(dev.socketUrl, { init: true });
    const table = [['{', 'GRAPHQL_PARSE_FAILED'], ['{ nothing }', 'GRAPHQL_VALIDATION_FAILED'], [`{ ${'a: eventCursor '.repeat(101)} }`, 'OPERATION_TOO_COMPLEX'], ['subscription { widgetUpdated(id: "nonsense") { reason } }', 'BAD_USER_INPUT'], [`subscription { widgetUpdated(id: "${await widgetId(dev, 'ActivityWidget')}", throttleMs: -1) { reason } }`, 'BAD_USER_INPUT'], [`subscription { widgetUpdated(id: "${await widgetId(dev, 'ActivityWidget')}", throttleMs: 60001) { reason } }`, 'BAD_USER_INPUT']];
    for (const [index, [document, expected]] of table.entries()) {
      raw.send({ type: 'subscribe', id: String(index), payload: { query: document } });
      const answer = await raw.next(({ id, type }) => id === String(index) && ['error', 'next'].includes(type), expected);
      const errors = answer.type === 'error' ? answer.payload : answer.payload.errors;
      assert.equal(errors[0].extensions.code, expected, json(answer));
    }
    raw.send({ type: 'subscribe', id: 'last', payload: { query: '{ eventCursor }' } });
    await raw.next(({ id, type }) => id === 'last' && type === 'next');
    raw.close();
  });

  test('a message that is too long ends its socket only', async () => {
    const raw = await socket(dev.socketUrl, { init: true });
    raw.send({ type: 'ping', payload: { long: 'x'.repeat(2 << 20) } });
    const { code: closed } = await raw.closed;
    assert.equal(closed, 1009);
  });

  const handshake = () => `GET /graphql HTTP/1.1\r\nHost: ${new URL(dev.url).host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`;
  const frames = [
    ['a frame that ends in its header', [0x81]],
    ['a frame whose payload never comes', [0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4, 5]],
    ['a frame that announces 2^63 bytes', [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009],
    ['a frame without a mask', [0x81, 0x02, 0x7b, 0x7d], 1002],
    ['reserved bits and an unknown opcode', [0xff, 0x80, 0, 0, 0, 0], 1002],
    ['text that is no UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], 1007],
    ['a continuation of nothing', [0x80, 0x81, 0, 0, 0, 0, 0x41], 1002],
    ['a binary frame', [0x82, 0x81, 0, 0, 0, 0, 0x41], 4400],
    ['a close with a bad code', [0x88, 0x82, 0, 0, 0, 0, 0x00, 0x01]],
  ];
  for (const [name, bytes, expected] of frames) {
    test(`${name}: ${expected ?? 'closed'}`, async () => {
      const tcp = connect(Number(new URL(dev.url).port), '127.0.0.1');
      tcp.on('error', () => {});
      await new Promise((answered) => tcp.once('connect', () => tcp.write(handshake())).once('data', answered));
      tcp.write(Buffer.from(bytes));
      if (expected) {
        const [frame] = await once(tcp, 'data');
        assert.deepEqual([frame[0], frame.readUInt16BE(2)], [0x88, expected]);
      }
      // Half a frame, and the client is gone.
      await new Promise((ended) => { tcp.once('close', ended); tcp.end(); setTimeout(() => tcp.destroy(), 200).unref(); });
      assert.ok(data(await dev.query('{ eventCursor }')).eventCursor);
    });
  }
});

describe('webhooks', () => {
  const hub = (body, secret = DEV_SECRET) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  const now = () => String(Math.floor(Date.now() / 1000));
  const slack = (body, at = now(), secret = DEV_SECRET) => ({ 'x-slack-request-timestamp': at, 'x-slack-signature': `v0=${createHmac('sha256', secret).update(`v0:${at}:`).update(body).digest('hex')}` });
  const asana = (body, secret = DEV_SECRET) => ({ 'x-hook-signature': createHmac('sha256', secret).update(body).digest('hex') });
  let delivery = 0;
  const github = (body, headers = {}) => ({ 'x-github-event': 'star', 'x-github-delivery': `bad-${delivery += 1}`, 'x-hub-signature-256': hub(body), ...headers });
  const good = '{"action":"created"}';
  const table = [
    ['an unknown endpoint', 'github/nothing', good, () => github(good), 404],
    ['an unknown provider', 'nothing/github-dev', good, () => github(good), 404],
    ['another provider\'s endpoint', 'slack/github-dev', good, () => slack(good), 404],
    ['no signature', 'github/github-dev', good, () => ({ 'x-github-event': 'star', 'x-github-delivery': '1' }), 401],
    ['an empty signature', 'github/github-dev', good, () => github(good, { 'x-hub-signature-256': '' }), 401],
    ['half a signature', 'github/github-dev', good, () => github(good, { 'x-hub-signature-256': hub(good).slice(0, 40) }), 401],
    ['a signature without its prefix', 'github/github-dev', good, () => github(good, { 'x-hub-signature-256': hub(good).slice(7) }), 401],
    ['the old SHA-1 only', 'github/github-dev', good, () => ({ 'x-github-event': 'star', 'x-github-delivery': '2', 'x-hub-signature': `sha1=${createHmac('sha1', DEV_SECRET).update(good).digest('hex')}` }), 401],
    ['another secret', 'github/github-dev', good, () => github(good, { 'x-hub-signature-256': hub(good, 'other') }), 401],
    ['a changed body', 'github/github-dev', `${good} `, () => github(good), 401],
    ['no body', 'github/github-dev', '', () => github(''), 400],
    ['no JSON', 'github/github-dev', '{"action"', () => github('{"action"'), 400],
    ['no object', 'github/github-dev', '[]', () => github('[]'), 400],
    ['no UTF-8', 'github/github-dev', Buffer.from([0x7b, 0xff, 0x7d]), () => github(Buffer.from([0x7b, 0xff, 0x7d])), 400],
    ['no event', 'github/github-dev', good, () => { const { 'x-github-event': _, ...rest } = github(good); return rest; }, 400],
    ['another type', 'github/github-dev', good, () => github(good, { 'content-type': 'text/xml' }), 415],
    ['a form without payload', 'github/github-dev', 'a=b', () => github('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), 400],
    ['no Slack signature', 'slack/slack-dev', good, () => ({ 'x-slack-request-timestamp': now() }), 401],
    ['no Slack timestamp', 'slack/slack-dev', good, () => { const { 'x-slack-request-timestamp': _, ...rest } = slack(good); return rest; }, 401],
    ['an old Slack timestamp', 'slack/slack-dev', good, () => slack(good, String(Number(now()) - 600)), 401],
    ['a Slack timestamp of the future', 'slack/slack-dev', good, () => slack(good, String(Number(now()) + 600)), 401],
    ['a Slack timestamp that is none', 'slack/slack-dev', good, () => slack(good, 'today'), 401],
    ['another Slack secret', 'slack/slack-dev', good, () => slack(good, now(), 'other'), 401],
    ['Slack without JSON', 'slack/slack-dev', 'x', () => slack('x'), 400],
    ['Slack over a megabyte', 'slack/slack-dev', `{"x":"${'x'.repeat(1 << 20)}"}`, () => slack(`{"x":"${'x'.repeat(1 << 20)}"}`), 413],
    ['no Asana signature', 'asana/asana-dev', good, () => ({}), 401],
    ['another Asana secret', 'asana/asana-dev', good, () => asana(good, 'other'), 401],
    ['Asana without JSON', 'asana/asana-dev', '{', () => asana('{'), 400],
  ];
  for (const [name, path, body, headers, expected] of table) {
    test(`${name}: ${expected}`, async () => {
      const { status, text } = await raw(`/webhooks/${path}`, { body, headers: headers() });
      assert.equal(status, expected, text);
    });
  }

  test('an event that nobody knows is taken', async () => {
    const { status } = await raw('/webhooks/github/github-dev', { body: good, headers: github(good, { 'x-github-event': 'not_invented_yet' }) });
    assert.equal(Math.floor(status / 100), 2);
  });

  test('GET is not for webhooks', async () => {
    assert.equal((await raw('/webhooks/github/github-dev', { method: 'GET' })).status, 405);
  });
});

describe('after all this', () => {
  test('the process and its other clients live on', async () => {
    assert.ok(dev.alive(), dev.logs());
    assert.equal(watch.failure, undefined);
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Still here' });
    await watch.find(({ data }) => data.activity.kind === 'message', 'the message');
    assert.ok(!/panicked/.test(dev.logs()), dev.logs());
    assert.ok(!dev.logs().includes(DEV_SECRET), 'the secret is in the logs');
  });
});
