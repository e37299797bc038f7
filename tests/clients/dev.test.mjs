// `mullion dev`: one process per folder, a world that goes on, and who may ask from where.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { socket } from './graphs.mjs';
import { attempt, data, DEV_SECRET, freePorts, startDev, until } from './harness.mjs';

let dev;
before(async () => {
  dev = await startDev({ args: ['--webhook-secret', 'my-own-secret', '--public-url', 'https://tunnel.example'], env: { MULLION_LIMITS_MAX_ALIASES: '3', MULLION_LIVE_INIT_TIMEOUT_MILLISECONDS: '700' } });
});
after(() => dev?.stop());

/** The status of a request with any headers, Host too. */
const status = (url, method, headers, body) => new Promise((done, failed) => {
  httpRequest(url, { method, headers }, (response) => { response.resume(); done(response.statusCode); }).on('error', failed).end(body);
});
const JSON_TYPE = { 'content-type': 'application/json', accept: 'application/json' };
const QUERY = JSON.stringify({ query: '{ eventCursor }' });
const sign = (body, secret) => ({ 'content-type': 'application/json', 'x-github-event': 'ping', 'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` });

describe('dev', () => {
  test('is ready when it says so, and says where everything is', async () => {
    assert.equal((await fetch(`${dev.url}/health/ready`)).status, 200);
    const banner = await until(() => dev.logs().includes('Try:') && dev.logs(), 'the banner');
    const { port } = new URL(dev.url);
    for (const expected of [`localhost:${port}/graphql`, `localhost:${port}/webhooks/github/github-dev`, `localhost:${port}/webhooks/slack/slack-dev`, `localhost:${port}/webhooks/asana/asana-dev`, '_sandbox', dev.data, '1.', '2.', '3.']) assert.ok(banner.includes(expected), `${expected} is not in\n${banner}`);
  });

  test('refuses a second process on its folder, with a message that says what to do', async () => {
    const [port, sandboxPort] = await freePorts(2);
    const { status: code, stderr } = attempt(['dev', '--data', dev.data, '--port', String(port), '--sandbox-port', String(sandboxPort), '--traffic', 'off']);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /in use/);
    assert.match(stderr, /--data/);
    assert.ok(data(await dev.query('{ eventCursor }')).eventCursor, 'the first one lives on');
  });

  test('goes on with its data: dashboards, activities, and the sandbox\'s world', async () => {
    const { dashboard } = data(await dev.query('mutation { createDashboard(input: { name: "Before", slug: "before" }) { dashboard { id } } }')).createDashboard;
    const { result } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Opened before' });
    const activity = () => dev.query('{ activity(first: 100) { nodes { id summary } } }');
    await until(async () => JSON.stringify(await activity()).includes('Opened before'), 'the activity');
    const before = data(await activity());
    const ids = data(await dev.query('{ dashboards { nodes { id slug } } integrations { nodes { id } } }'));
    await dev.restart();
    assert.deepEqual(data(await dev.query('{ dashboards { nodes { id slug } } integrations { nodes { id } } }')), ids);
    assert.equal(data(await dev.query('{ dashboard(slug: "before") { id } }')).dashboard.id, dashboard.id);
    assert.deepEqual(data(await activity()), before);
    const issue = await (await fetch(`${dev.sandbox}/github/repos/acme/web/issues/${result.number}`, { headers: { authorization: 'Bearer x' } })).json();
    assert.equal(issue.title, 'Opened before');
    assert.equal((await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Opened after' })).result.number, result.number + 1);
  });

  test('takes webhooks that are signed with --webhook-secret, and no others', async () => {
    assert.equal(await status(`${dev.url}/webhooks/github/github-dev`, 'POST', sign('{}', 'my-own-secret'), '{}'), 200);
    assert.equal(await status(`${dev.url}/webhooks/github/github-dev`, 'POST', sign('{}', DEV_SECRET), '{}'), 401);
    const { deliveries } = await dev.act('slack', 'post_message', { channel: 'general', text: 'Signed' });
    assert.ok(deliveries.length > 0);
    // With --public-url too, the stand-ins reach it on loopback.
    for (const { status: code, url } of deliveries) assert.equal(code, 200, url);
  });

  test('obeys the settings of the environment', async () => {
    const answer = await dev.query('{ a: eventCursor b: eventCursor c: eventCursor d: eventCursor }');
    assert.equal(answer.errors?.[0].extensions.code, 'OPERATION_TOO_COMPLEX');
    const raw = await socket(dev.socketUrl);
    assert.equal((await raw.closed).code, 4408);
    const { status: code, stderr } = attempt(['dev', '--data', dev.data], { MULLION_NOTHING: '1' });
    assert.equal(code, 1);
    assert.match(stderr, /MULLION_NOTHING/);
  });

  test('calls no provider on its own without traffic and without a subscriber', async () => {
    await dev.restart();
    const { github, slack, asana } = await dev.stats();
    assert.deepEqual([github.total, slack.total, asana.total], [0, 0, 0]);
  });
});

describe('dev answers', () => {
  const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-protocol': 'graphql-transport-ws' };
  const page = (host) => ({ origin: `http://${host}` });
  const table = [
    ['localhost', 'POST', '/graphql', { host: 'localhost' }, true],
    ['127.0.0.1', 'POST', '/graphql', { host: '127.0.0.1:4000' }, true],
    ['[::1]', 'POST', '/graphql', { host: '[::1]:4000' }, true],
    ['LOCALHOST', 'POST', '/graphql', { host: 'LOCALHOST' }, true],
    ['a name that was rebound', 'POST', '/graphql', { host: 'evil.example' }, false],
    ['a name that begins like ours', 'POST', '/graphql', { host: 'localhost.evil.example' }, false],
    ['an address that begins like ours', 'POST', '/graphql', { host: '127.0.0.1.evil.example' }, false],
    ['another address of this machine', 'POST', '/graphql', { host: '0.0.0.0' }, false],
    ['a name that was rebound, for GraphiQL', 'GET', '/', { host: 'evil.example' }, false],
    ['a name that was rebound, for metrics', 'GET', '/metrics', { host: 'evil.example' }, false],
    ['a name that was rebound, for webhooks', 'POST', '/webhooks/github/github-dev', { host: 'evil.example' }, false],
    ['our own page', 'POST', '/graphql', { host: 'localhost', ...page('localhost:4000') }, true],
    ['a page of another site', 'POST', '/graphql', { host: 'localhost', ...page('evil.example') }, false],
    ['a page without an origin of its own', 'POST', '/graphql', { host: 'localhost', origin: 'null' }, false],
    ['a page whose name begins like ours', 'POST', '/graphql', { host: 'localhost', ...page('localhost.evil.example') }, false],
    ['an event stream of another site', 'GET', '/graphql/stream?query=subscription%7Bactivity%7Bid%7D%7D', { host: 'localhost', accept: 'text/event-stream', ...page('evil.example') }, false],
    ['a socket of another site', 'GET', '/graphql', { host: 'localhost', ...upgrade, ...page('evil.example') }, false],
    ['the tunnel, for GraphQL', 'POST', '/graphql', { host: 'tunnel.example' }, false],
    ['the tunnel, for GraphiQL', 'GET', '/', { host: 'tunnel.example' }, false],
    ['the tunnel, for an event stream', 'POST', '/graphql/stream', { host: 'tunnel.example' }, false],
    ['the tunnel, for metrics', 'GET', '/metrics', { host: 'tunnel.example' }, false],
    ['the tunnel, for health', 'GET', '/health/ready', { host: 'tunnel.example' }, false],
    ['the tunnel, on a way around', 'POST', '/webhooks/../graphql', { host: 'tunnel.example' }, false],
    ['the tunnel, on an encoded way around', 'POST', '/webhooks/%2e%2e/graphql', { host: 'tunnel.example' }, false],
  ];
  for (const [name, method, path, headers, passes] of table) {
    test(`${passes ? '' : 'not '}${name}`, async () => {
      const answered = await new Promise((done, failed) => {
        const { hostname, port } = new URL(dev.url);
        const request = httpRequest({ hostname, port, path, method, headers: { ...JSON_TYPE, ...headers } }, (response) => { response.destroy(); done(response.statusCode); });
        request.on('upgrade', (_, wire) => { wire.destroy(); done(101); }).on('error', failed).end(method === 'POST' ? QUERY : undefined);
      });
      if (passes) assert.equal(answered, 200);
      else assert.ok(answered >= 400 && answered < 500, String(answered));
    });
  }

  test('the tunnel, for webhooks', async () => {
    assert.equal(await status(`${dev.url}/webhooks/github/github-dev`, 'POST', { host: 'tunnel.example', ...sign('{"zen":"tunnel"}', 'my-own-secret') }, '{"zen":"tunnel"}'), 200);
  });

  test('no page of another site at the sandbox, for reading or acting, and no other host', async () => {
    for (const headers of [{ host: 'evil.example' }, { host: 'tunnel.example' }, { host: 'localhost', origin: 'https://evil.example' }, { host: 'localhost', origin: 'null' }]) {
      for (const [method, path] of [['GET', '/_sandbox'], ['GET', '/_sandbox/stats'], ['POST', '/_sandbox/github/star']]) {
        assert.equal(await status(`${dev.sandbox}${path}`, method, headers, method === 'POST' ? '{}' : undefined), 403, `${method} ${path} ${JSON.stringify(headers)}`);
      }
    }
    assert.equal(await status(`${dev.sandbox}/_sandbox`, 'GET', { host: 'localhost' }), 200);
  });
});
