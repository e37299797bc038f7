// `mullion serve`: what it refuses to start with, API keys and roles, the admin address, its end, and its databases.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { socket } from './graphs.mjs';
import { attempt, binary, data, freePorts, startSandbox, startServe, temporaryFolder } from './harness.mjs';

const code = (answer) => answer.errors?.[0]?.extensions?.code;
const CREATE = 'mutation { createDashboard(input: { name: "Made" }) { dashboard { id name } } }';
const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id status } } }';

describe('serve does not start', () => {
  const encryption = attempt(['key', 'generate']).stdout.trim();
  const table = [
    ['without an encryption key', { MULLION_ENCRYPTION_KEY: '' }, [/encryption key/i, /mullion key generate/, /MULLION_ENCRYPTION_KEY/]],
    ['with half an encryption key', { MULLION_ENCRYPTION_KEY: encryption.slice(0, 20) }, [/32 bytes/, /mullion key generate/]],
    ['with an unknown name in the environment', { MULLION_SERVER_CONSOEL: 'true' }, [/MULLION_SERVER_CONSOEL/, /MULLION_SERVER_CONSOLE/]],
    ['with a setting of a wrong type', { MULLION_PORT: 'four thousand' }, [/MULLION_PORT/, /--help/]],
    ['with any origin allowed', { MULLION_SERVER_ALLOWED_ORIGINS: '*' }, [/allowed_origins/, /each origin/]],
    ['with an origin that has a path', { MULLION_SERVER_ALLOWED_ORIGINS: 'https://a.example/x' }, [/allowed_origins/, /https:\/\//]],
    ['with a public URL that is none', { MULLION_PUBLIC_URL: 'mullion.example.com' }, [/public_url/, /https:\/\/mullion\.example\.com/]],
    ['with a public URL that has a user', { MULLION_PUBLIC_URL: 'https://me:pw@mullion.example.com' }, [/public_url/, /without/]],
    ['with the admin pages on the main port', { MULLION_PORT: '4999', MULLION_SERVER_ADMIN_ADDRESS: '127.0.0.1:4999' }, [/admin_address/, /port/]],
    ['with limits that would break the stack', { MULLION_LIMITS_MAX_DEPTH: '5000' }, [/max_depth/, /64/]],
    ['with another kind of database', { DATABASE_URL: 'mysql://root@127.0.0.1/x' }, [/database/i, /postgres:\/\//]],
  ];
  for (const [name, env, messages] of table) {
    test(name, () => {
      const { status, stdout, stderr } = attempt(['serve'], { MULLION_DATA: temporaryFolder(), MULLION_ENCRYPTION_KEY: encryption, ...env });
      assert.equal(status, 1, `${status}: ${stdout}${stderr}`);
      for (const message of messages) assert.match(stderr, message);
      assert.ok(!stderr.includes(encryption), 'the encryption key is told');
    });
  }

  test('with an unknown name in the file, a section or an option', () => {
    for (const [text, wrong] of [['[server]\nprot = 4000\n', /prot/], ['[sever]\nport = 4000\n', /sever/]]) {
      const file = join(temporaryFolder(), 'mullion.toml');
      writeFileSync(file, text);
      const { status, stderr } = attempt(['serve', '--config', file], { MULLION_DATA: temporaryFolder(), MULLION_ENCRYPTION_KEY: encryption });
      assert.equal(status, 1, stderr);
      assert.match(stderr, wrong);
    }
  });

  test('with a PostgreSQL that cannot be reached: within seconds, and it says what to check', async () => {
    const [nothing] = await freePorts(1);
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    for (const [port, cause] of [[nothing, /refused/i], [silent.address().port, /did not let us in/]]) {
      const started = Date.now();
      const child = spawn(binary(), ['serve'], { env: { PATH: process.env.PATH, MULLION_DATA: temporaryFolder(), MULLION_ENCRYPTION_KEY: encryption, DATABASE_URL: `postgres://me:secret-password@127.0.0.1:${port}/x` } });
      let stderr = '';
      child.stderr.on('data', (chunk) => { stderr += chunk; });
      const [status] = await once(child, 'close');
      assert.equal(status, 1, stderr);
      assert.match(stderr, cause);
      assert.match(stderr, new RegExp(`waiting for the database at 127\\.0\\.0\\.1:${port}`));
      assert.match(stderr, /Is PostgreSQL running there.*DATABASE_URL/s);
      assert.ok(!stderr.includes('secret-password'), stderr);
      assert.ok(Date.now() - started < 15_000, 'it took too long');
    }
    silent.close();
  });

  test('with a file that is not there', () => {
    const { status, stderr } = attempt(['serve', '--config', '/nowhere/mullion.toml'], { MULLION_ENCRYPTION_KEY: encryption });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /\/nowhere\/mullion\.toml/);
  });
});

describe('serve', () => {
  let serve;
  let sandbox;
  let keys;

  before(async () => {
    sandbox = await startSandbox();
    serve = await startServe({ env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, MULLION_LIVE_INIT_TIMEOUT_MILLISECONDS: '20000' } });
    keys = Object.fromEntries(['viewer', 'editor', 'admin'].map((role) => [role, serve.key('acme', role)]));
  });
  after(() => Promise.all([serve?.stop(), sandbox?.stop()]));

  const github = () => ({ input: { provider: 'github', name: 'GitHub', token: 'anything', baseUrl: `${sandbox.url}/github` } });
  const idOf = (name) => serve.keys().find((line) => line.includes(name)).split(/\s+/)[0];

  test('key create makes distinct keys, key list shows them without the keys, and at rest they are hashes', () => {
    assert.equal(new Set(Object.values(keys)).size, 3);
    const lines = serve.keys();
    assert.equal(lines.length, 3);
    for (const role of ['viewer', 'editor', 'admin']) assert.ok(lines.some((line) => line.includes('acme') && line.includes(role)), lines.join('\n'));
    const found = readdirSync(serve.folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const files = found.map((file) => readFileSync(join(file.parentPath ?? file.path, file.name), 'latin1')).join('');
    for (const key of Object.values(keys)) {
      assert.ok(!lines.join('\n').includes(key));
      assert.ok(!files.includes(key), 'a key lies in the data folder in clear');
    }
    const made = attempt(['key', 'create', '--tenant', 'other', '--name', 'once', '--role', 'viewer'], serve.settings);
    assert.match(made.stderr, /shown only this once/);
    assert.equal(made.stdout.trim().split(/\s/).length, 1, 'stdout holds the key and nothing else');
    const unseen = attempt(['key', 'create', '--tenant', 'other', '--name', '\u200b\u202e', '--role', 'viewer'], serve.settings);
    assert.equal(unseen.status, 1);
    assert.match(unseen.stderr, /--name.*seen/);
    assert.match(attempt(['key', 'create', '--tenant', 'acme', '--name', 'x', '--role', 'god'], serve.settings).stderr, /viewer.*editor.*admin/s);
  });

  test('without a key, or with a wrong one: 401 and UNAUTHENTICATED', async () => {
    const wrong = `${keys.viewer.slice(0, -1)}${keys.viewer.endsWith('A') ? 'B' : 'A'}`;
    for (const headers of [{}, { authorization: '' }, { authorization: 'Bearer' }, { authorization: 'Bearer ' }, { authorization: `Bearer ${wrong}` }, { authorization: `Basic ${keys.viewer}` }, { authorization: 'Bearer ä' }]) {
      for (const path of ['/graphql', '/graphql/stream']) {
        const response = await fetch(`${serve.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', accept: path === '/graphql' ? 'application/json' : 'text/event-stream', ...headers }, body: JSON.stringify({ query: '{ eventCursor }' }) });
        const text = await response.text();
        assert.equal(response.status, 401, `${path} ${JSON.stringify(headers)}: ${text}`);
        assert.match(text, /UNAUTHENTICATED/);
      }
    }
    const bad = await fetch(`${serve.graphqlUrl}?${new URLSearchParams({ query: '{ eventCursor }' })}`, { headers: { accept: 'application/json' } });
    assert.equal(bad.status, 401, 'GET');
    assert.ok(data(await serve.as(keys.viewer)('{ eventCursor }')).eventCursor);
  });

  test('a viewer reads, an editor also changes dashboards, an admin also connects integrations', async () => {
    const [viewer, editor, admin] = ['viewer', 'editor', 'admin'].map((role) => serve.as(keys[role]));
    const { tenant, permissions } = data(await viewer('{ viewer { tenant { name } permissions } }')).viewer;
    assert.equal(tenant.name, 'acme');
    assert.ok(Array.isArray(permissions));
    assert.equal(code(await viewer(CREATE)), 'FORBIDDEN');
    assert.equal(code(await viewer(CONNECT, github())), 'FORBIDDEN');
    const { dashboard } = data(await editor(CREATE)).createDashboard;
    assert.equal(code(await viewer('mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: dashboard.id })), 'FORBIDDEN');
    assert.equal(code(await editor(CONNECT, github())), 'FORBIDDEN');
    assert.deepEqual(data(await editor('{ integrations { nodes { id } } }')).integrations.nodes, []);
    const { integration } = data(await admin(CONNECT, github())).connectIntegration;
    assert.equal(integration.status, 'CONNECTED');
    for (const document of ['mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }', 'mutation ($id: ID!) { updateIntegration(input: { id: $id, name: "Mine" }) { integration { id } } }', 'mutation ($id: ID!) { registerWebhooks(integrationId: $id, containerIds: []) { integration { id } } }']) {
      assert.equal(code(await editor(document, { id: integration.id })), 'FORBIDDEN', document);
    }
    assert.equal(data(await viewer('query ($id: ID!) { dashboard(id: $id) { name } }', { id: dashboard.id })).dashboard.name, 'Made');
    assert.equal(data(await admin('mutation ($id: ID!) { disconnectIntegration(id: $id) { deletedId } }', { id: integration.id })).disconnectIntegration.deletedId, integration.id);
  });

  test('over WebSocket the key travels in connection_init; without a good one: 4403', async () => {
    for (const payload of [undefined, {}, { authorization: '' }, { authorization: 'Bearer nonsense' }]) {
      const raw = await socket(serve.socketUrl);
      raw.send({ type: 'connection_init', payload });
      assert.equal((await raw.closed).code, 4403, JSON.stringify(payload));
    }
    const raw = await socket(serve.socketUrl);
    raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${keys.viewer}` } });
    await raw.next(({ type }) => type === 'connection_ack', 'connection_ack');
    raw.send({ type: 'subscribe', id: '1', payload: { query: CREATE } });
    const answer = await raw.next(({ id }) => id === '1', 'an answer');
    assert.match(JSON.stringify(answer), /FORBIDDEN/, 'roles hold over a socket too');
    raw.close();
    const early = await socket(serve.socketUrl);
    early.send({ type: 'subscribe', id: '1', payload: { query: '{ eventCursor }' } });
    assert.equal((await early.closed).code, 4401);
  });

  test('a revoked key closes its sockets and streams, and opens nothing again; other keys live on', async () => {
    const key = serve.key('acme', 'viewer', 'short-lived');
    const init = async (token) => {
      const raw = await socket(serve.socketUrl);
      raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
      await raw.next(({ type }) => type === 'connection_ack', 'connection_ack');
      raw.send({ type: 'subscribe', id: '1', payload: { query: 'subscription { activity { id } }' } });
      return raw;
    };
    const [doomed, other] = [await init(key), await init(keys.viewer)];
    const stream = await fetch(`${serve.url}/graphql/stream`, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` }, body: JSON.stringify({ query: 'subscription { activity { id } }' }) });
    assert.equal(stream.status, 200);
    serve.revoke(idOf('short-lived'));
    assert.equal((await doomed.closed).code, 4403);
    assert.match(await stream.text(), /event: next\ndata: .*UNAUTHENTICATED.*\n\nevent: complete\ndata: \n\n$/, 'the stream says why');
    assert.equal(code(await serve.as(key)('{ eventCursor }')), 'UNAUTHENTICATED');
    const again = await socket(serve.socketUrl);
    again.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
    assert.equal((await again.closed).code, 4403);
    assert.ok(serve.keys().some((line) => line.includes('short-lived') && line.includes('revoked')));
    other.send({ type: 'ping' });
    await other.next(({ type }) => type === 'pong', 'a pong');
    other.close();
    const twice = attempt(['key', 'revoke', idOf('short-lived')], serve.settings);
    assert.equal(twice.status, 1);
    assert.match(twice.stderr, /key list/);
  });

  test('shows no GraphiQL unless it is switched on', async () => {
    const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } };
    for (const path of ['/', '/graphql', '/console/index.js']) {
      const response = await fetch(`${serve.url}${path}`, html);
      assert.ok(response.status >= 400, `${path}: ${response.status}`);
      assert.ok(!/<html|graphiql/i.test(await response.text()), path);
    }
    const shown = await startServe({ env: { MULLION_SERVER_CONSOLE: 'true' } });
    const response = await fetch(`${shown.url}/`, html);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /text\/html/);
    assert.match(response.headers.get('content-security-policy'), /default-src 'none'/);
    await shown.stop();
  });

  test('has /health and /metrics on the admin address only', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics']) {
      assert.equal((await fetch(`${serve.admin}${path}`)).status, 200, path);
      assert.equal((await fetch(`${serve.url}${path}`)).status, 404, path);
      assert.equal((await fetch(`${serve.url}${path}`, { headers: { authorization: `Bearer ${keys.admin}` } })).status, 404, path);
    }
    for (const path of ['/graphql', '/webhooks/github/x']) assert.equal((await fetch(`${serve.admin}${path}`, { method: 'POST', body: '{}' })).status, 404, path);
  });

  test('tells in /metrics what was done, by its provider', async () => {
    data(await serve.as(keys.admin)(CONNECT, github()));
    const metrics = await (await fetch(`${serve.admin}/metrics`)).text();
    for (const family of ['inbox_lag_seconds', 'live_operations', 'executions', 'open_sockets', 'provider_calls', 'provider_call_seconds', 'quota_remaining', 'circuit_state', 'cache_lookups', 'request_seconds']) {
      assert.ok(metrics.includes(`# TYPE mullion_${family} `), family);
    }
    const of = (families) => [...new Set([...metrics.matchAll(new RegExp(`^mullion_(${families})\\{(.*)\\} (.*)$`, 'gm'))].filter(([, family, , value]) => family !== 'provider_calls_total' || Number(value) > 0).map(([, family, labels]) => `${family} of "${/provider="([^"]*)"/.exec(labels)?.[1]}"`))].sort();
    assert.deepEqual(of('provider_calls_total|quota_remaining|circuit_state'), ['circuit_state of "github"', 'provider_calls_total of "github"', 'quota_remaining of "github"']);
    for (const series of ['deliveries_total{provider="slack",result="accepted"} 0', 'deliveries_total{provider="asana",result="bad_signature"} 0', 'provider_calls_total{provider="asana",result="timeout"} 0', 'frames_total{transport="websocket"}', 'executions_total{kind="live"}']) {
      assert.ok(metrics.includes(`\nmullion_${series}`), `${series} is not there from the start`);
    }
  });
});

describe('the end of serve', () => {
  for (const name of ['SIGTERM', 'SIGINT']) {
    test(`${name} closes sockets with 1001, ends streams, and the process exits with 0`, async () => {
      const serve = await startServe();
      const key = serve.key('acme', 'viewer');
      const raw = await socket(serve.socketUrl);
      raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
      await raw.next(({ type }) => type === 'connection_ack', 'connection_ack');
      raw.send({ type: 'subscribe', id: '1', payload: { query: 'subscription { activity { id } }' } });
      const stream = await fetch(`${serve.url}/graphql/stream`, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` }, body: JSON.stringify({ query: 'subscription { activity { id } }' }) });
      serve.signal(name);
      assert.equal((await raw.closed).code, 1001);
      await stream.text();
      await serve.ended();
      assert.equal(serve.exitCode(), 0, serve.logs());
      await assert.rejects(fetch(`${serve.url}/graphql`));
      // The data is there again.
      await serve.restart();
      assert.ok(data(await serve.as(key)('{ eventCursor }')).eventCursor);
      await serve.stop();
    });
  }
});

describe('the database of serve', () => {
  /** A dashboard is made, found after a restart, and another tenant does not see it. */
  async function works(env) {
    const serve = await startServe({ env });
    const [mine, theirs] = [serve.as(serve.key('one', 'editor')), serve.as(serve.key('two', 'editor'))];
    const { id } = data(await mine(CREATE)).createDashboard.dashboard;
    await serve.restart();
    assert.equal(data(await mine('query ($id: ID!) { dashboard(id: $id) { name } }', { id })).dashboard.name, 'Made');
    assert.equal(data(await theirs('query ($id: ID!) { dashboard(id: $id) { name } }', { id })).dashboard, null);
    await serve.stop();
    return serve;
  }

  test('is SQLite where DATABASE_URL says so', async () => {
    const file = join(temporaryFolder(), 'elsewhere.db');
    const serve = await works({ DATABASE_URL: `sqlite://${file}` });
    assert.ok(existsSync(file));
    assert.deepEqual(readdirSync(serve.folder).filter((name) => name.endsWith('.db')), []);
  });

  test('is that of MULLION_DATABASE_URL where both are set', async () => {
    const folder = temporaryFolder();
    await works({ DATABASE_URL: `sqlite://${join(folder, 'loser.db')}`, MULLION_DATABASE_URL: `sqlite://${join(folder, 'winner.db')}` });
    assert.ok(existsSync(join(folder, 'winner.db')) && !existsSync(join(folder, 'loser.db')));
  });

  test('is PostgreSQL where DATABASE_URL says so', async () => {
    assert.ok(process.env.MULLION_TEST_POSTGRES_URL, 'set MULLION_TEST_POSTGRES_URL, or run tests/run, which starts a server');
    const url = new URL(process.env.MULLION_TEST_POSTGRES_URL);
    const name = `serve_${randomUUID().replaceAll('-', '')}`;
    const made = spawnSync('psql', ['-v', 'ON_ERROR_STOP=1', '-c', `CREATE DATABASE ${name}`, url.href], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.error?.message ?? made.stderr);
    url.pathname = name;
    // The server of the tests flushes nothing.
    await works({ DATABASE_URL: url.href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true' });
  });

  test('is no PostgreSQL that may lose what it committed, unless that is said to be fine', () => {
    const url = new URL(process.env.MULLION_TEST_POSTGRES_URL);
    const name = `unsafe_${randomUUID().replaceAll('-', '')}`;
    for (const sql of [`CREATE DATABASE ${name}`, `ALTER DATABASE ${name} SET synchronous_commit = off`]) {
      const made = spawnSync('psql', ['-v', 'ON_ERROR_STOP=1', '-c', sql, url.href], { encoding: 'utf8' });
      assert.equal(made.status, 0, made.error?.message ?? made.stderr);
    }
    url.pathname = name;
    const { status, stderr } = attempt(['serve'], { DATABASE_URL: url.href, MULLION_ENCRYPTION_KEY: attempt(['key', 'generate']).stdout.trim() });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /synchronous_commit = off/);
    assert.match(stderr, /webhooks\.allow_unsafe_database/);
  });

  test('cannot be one that is not there; the message says which setting to look at', () => {
    const { status, stderr } = attempt(['serve'], { DATABASE_URL: 'sqlite:///nowhere/mullion.db', MULLION_ENCRYPTION_KEY: attempt(['key', 'generate']).stdout.trim() });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /database\.url/);
  });
});
