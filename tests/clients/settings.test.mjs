// Settings as an operator meets them: checked before anything starts, told apart from what Kubernetes sets, and read again at SIGHUP.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { attempt, run, startServe, temporaryFolder, until } from './harness.mjs';

const KEY = run(['key', 'generate']).trim();

describe('mullion config check', () => {
  const check = (env) => {
    const folder = temporaryFolder();
    const { status, stdout, stderr } = attempt(['config', 'check'], { MULLION_DATA: join(folder, 'data'), MULLION_ENCRYPTION_KEY: KEY, ...env });
    assert.deepEqual(readdirSync(folder), [], 'nothing is made');
    return { status, stdout, stderr };
  };

  test('accepts what serve accepts', () => {
    assert.deepEqual(check({}), { status: 0, stdout: '`mullion serve` accepts these settings.\n', stderr: '' });
  });

  for (const [name, value, expected] of [
    ['MULLION_UPSTREAM_MAX_CONCURRENCY', '0', /upstream\.max_concurrency \(MULLION_UPSTREAM_MAX_CONCURRENCY\) must be 1 to \d+, not 0/],
    ['MULLION_ENCRYPTION_KEY', 'c2hvcnQ=', /mullion key generate/],
    ['MULLION_LOG', 'info,=', /telemetry\.log/],
    ['MULLION_UPSTREAM_ALLOW', 'https://ghe.example.com', /is no host/],
    ['MULLION_SERVER_PROT', '1', /did you mean MULLION_SERVER_PORT/],
    ['MULLION_SERVER_ADMIN_ADDRESS', '4002', /server\.admin_address \(MULLION_SERVER_ADMIN_ADDRESS\): invalid socket address/],
    ['MULLION_TELEMETRY_FORMAT', 'xml', /telemetry\.format \(MULLION_TELEMETRY_FORMAT\): unknown variant `xml`/],
    ['DATABASE_URL', 'sqlite::memory:', /database\.url: a database in memory/],
    ['MULLION_PUBLIC_URL', 'mullion.example.com', /https:\/\/mullion\.example\.com/],
  ]) {
    test(`refuses ${name}=${value} with the message of serve`, () => {
      const { status, stderr } = check({ [name]: value });
      assert.equal(status, 1);
      assert.match(stderr, expected);
      assert.equal(attempt(['serve'], { MULLION_DATA: temporaryFolder(), MULLION_ENCRYPTION_KEY: KEY, [name]: value }).stderr, stderr);
    });
  }

  test('refuses a place where no database can be made', () => {
    for (const [env, expected] of [
      [{ MULLION_DATA: '/proc/x' }, /nothing can be made in \/proc/],
      [{ DATABASE_URL: 'sqlite:///nonexistent/folder/x.db' }, /there is no folder \/nonexistent\/folder/],
    ]) {
      const { status, stderr } = check(env);
      assert.equal(status, 1);
      assert.match(stderr, expected);
      assert.equal(attempt(['serve'], { MULLION_DATA: temporaryFolder(), MULLION_ENCRYPTION_KEY: KEY, ...env }).status, 1);
    }
  });

  test('asks a PostgreSQL, and writes nothing into it', () => {
    const database = newDatabase().href;
    const tables = () => spawnSync('psql', ['-Atc', "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database], { encoding: 'utf8' }).stdout.trim();
    const unsafe = check({ DATABASE_URL: database });
    assert.equal(unsafe.status, 1);
    assert.match(unsafe.stderr, /webhooks\.allow_unsafe_database/);
    const env = { DATABASE_URL: database, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true' };
    assert.equal(check(env).status, 0, 'serve would make the tables');
    const apart = { ...env, MULLION_DATABASE_MIGRATE: 'false' };
    assert.match(check(apart).stderr, /run `mullion migrate` first/);
    const refused = attempt(['key', 'create', '--tenant', 'acme', '--name', 'ops', '--role', 'admin'], { ...apart, MULLION_ENCRYPTION_KEY: KEY });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /run `mullion migrate` first/);
    assert.equal(tables(), '0');
    run(['migrate'], env);
    assert.equal(check(apart).status, 0);
    run(['key', 'create', '--tenant', 'acme', '--name', 'ops', '--role', 'admin'], apart);
  });
});

describe('serve', () => {
  let serve;
  let ask;
  let file;
  const settings = (text) => writeFileSync(file, text);
  /** Asks for a reload, and gives the lines of the log that it caused once one of them matches. */
  const reload = async (expected) => {
    const before = serve.logs().length;
    serve.signal('SIGHUP');
    await until(() => expected.test(serve.logs().slice(before)), () => `${expected} in ${serve.logs().slice(before)}`);
    return serve.logs().slice(before);
  };
  const preflight = async (origin) => (await fetch(serve.graphqlUrl, { method: 'POST', headers: { origin, 'content-type': 'application/json', authorization: `Bearer ${ask.key}` }, body: JSON.stringify({ query: '{ __typename }' }) })).status;

  before(async () => {
    file = join(temporaryFolder(), 'mullion.toml');
    settings('# all defaults\n');
    // As in a pod beside a Service named mullion.
    serve = await startServe({ env: { MULLION_CONFIG: file, MULLION_SERVICE_HOST: '10.96.0.12', MULLION_SERVICE_PORT_HTTP: '80', MULLION_PORT_80_TCP: 'tcp://10.96.0.12:80' } });
    const key = serve.key('acme', 'admin');
    ask = Object.assign(serve.as(key), { key });
  });
  after(() => serve?.stop());

  test('says its version first, and once what it ignores of Kubernetes', () => {
    const lines = serve.logs().trim().split('\n').map((line) => JSON.parse(line));
    assert.match(lines[0].version, /^\d+\.\d+\.\d+/);
    const ignored = lines.filter(({ names }) => names);
    assert.deepEqual(ignored.map(({ names }) => names), ['MULLION_PORT_80_TCP MULLION_SERVICE_HOST MULLION_SERVICE_PORT_HTTP']);
  });

  test('tells a tenant that has nothing yet what to do next', async () => {
    const { data } = await ask('{ workItems { totalCount nodes { id } problems { code message } } integrations { nodes { id } } github { viewer { login } } }');
    assert.deepEqual(data.workItems.nodes, []);
    assert.match(data.workItems.problems[0].message, /connectIntegration/);
    assert.deepEqual([data.integrations.nodes, data.github], [[], null]);
  });

  test('takes on changed limits, origins and log levels at SIGHUP', async () => {
    assert.equal((await ask('{ __typename }')).errors, undefined);
    assert.equal(await preflight('https://dashboard.example'), 403);
    settings('[limits]\nmax_tokens = 5\n[server]\nallowed_origins = ["https://dashboard.example"]\n[telemetry]\nlog = "debug"\n');
    const lines = await reload(/the settings were read again/);
    assert.match(lines, /server\.allowed_origins limits\.max_tokens telemetry\.log/);
    assert.equal((await ask('{ a: __typename b: __typename }')).errors[0].extensions.code, 'OPERATION_TOO_COMPLEX');
    assert.equal(await preflight('https://dashboard.example'), 200);
    await until(() => /"DEBUG"/.test(serve.logs()), 'a line of the new level');
    settings('# all defaults\n');
    await reload(/the settings were read again/);
    assert.equal((await ask('{ a: __typename b: __typename }')).errors, undefined);
    assert.equal(await preflight('https://dashboard.example'), 403);
  });

  for (const [what, text, expected] of [
    ['a number out of its range', '[limits]\nmax_tokens = 5\nmax_depth = 1000\n', /limits\.max_depth .*must be 1 to 64, not 1000/],
    ['a wrong origin', '[limits]\nmax_tokens = 5\n[server]\nallowed_origins = ["*"]\n', /must name each origin/],
    ['a line that is no TOML', '[limits]\nmax_tokens = 5\n[security]\nencryption_key = hunter2\n', /line 4/],
  ]) {
    test(`keeps the old settings at ${what}, and says why`, async () => {
      settings(text);
      const lines = await reload(expected);
      assert.match(lines, /the new settings are refused, and the old ones stay/);
      assert.doesNotMatch(lines, /hunter2/);
      assert.equal((await ask('{ a: __typename b: __typename }')).errors, undefined);
    });
  }

  test('says what needs a restart', async () => {
    settings('[live]\nping_seconds = 7\n');
    assert.match(await reload(/the settings were read again/), /"options":"live\.ping_seconds"/);
  });
});
