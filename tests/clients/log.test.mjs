// The log never decides: whatever becomes of standard error, webhooks are applied, metrics count what was dropped, and SIGTERM ends
// the process. And the log tells the cause of an error by the id of the request that got it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { data, startDev, startServe, temporaryFolder, until } from './harness.mjs';

const TITLES = '{ activity(first: 50) { nodes { summary } } }';
/** How long the end may take: less than what is given to requests that hang. */
const END = 10_000;

describe('a standard error that takes nothing', () => {
  for (const [name, refuses, redirection] of [
    ['a reader that went away', true, 'exec "$@" 2> >(true)'],
    ['a pipe that nobody reads', false, 'mkfifo "$FIFO" && exec "$@" 2<> "$FIFO"'],
    ['a full disk', true, 'exec "$@" 2> /dev/full'],
  ]) {
    test(`${name}: webhooks are applied, what is refused is counted, and SIGTERM ends the process`, async () => {
      const env = { FIFO: join(temporaryFolder(), 'log'), MULLION_LOG: 'trace,sqlx=warn' };
      const dev = await startDev({ under: ['bash', '-c', redirection, 'bash'], env });
      const dropped = async () => Number(/^mullion_log_lines_dropped_total (\d+)$/m.exec(await (await fetch(`${dev.url}/metrics`)).text())?.[1]);
      // More than a pipe holds.
      for (let round = 0; round < 20; round += 1) await Promise.all(Array.from({ length: 20 }, () => dev.query('{ eventCursor }')));
      if (refuses) await until(async () => await dropped() > 0, 'lines are dropped');
      const { deliveries } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: `Despite ${name}` });
      assert.ok(deliveries.length > 0 && deliveries.every(({ status }) => status === 200), JSON.stringify(deliveries));
      await until(async () => JSON.stringify(data(await dev.query(TITLES))).includes(`Despite ${name}`), 'the webhook is applied');
      dev.signal('SIGTERM');
      await until(() => !dev.alive(), 'the process ends', END);
      assert.equal(dev.exitCode(), 0);
    });
  }
});

describe('the log by request id', () => {
  let serve;
  let url;
  const psql = (sql) => {
    const { status, stderr, error } = spawnSync('psql', ['-v', 'ON_ERROR_STOP=1', '-Atc', sql, url.href], { encoding: 'utf8' });
    assert.equal(status, 0, error?.message ?? stderr);
  };
  before(async () => {
    assert.ok(process.env.MULLION_TEST_POSTGRES_URL, 'set MULLION_TEST_POSTGRES_URL, or run tests/run, which starts a server');
    url = new URL(process.env.MULLION_TEST_POSTGRES_URL);
    const name = `log_${randomUUID().replaceAll('-', '')}`;
    psql(`CREATE DATABASE ${name}`);
    url.pathname = name;
    // Only errors: their lines name the request all the same.
    serve = await startServe({ env: { DATABASE_URL: url.href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true', MULLION_LOG: 'error' } });
  });
  after(() => serve?.stop());
  const lines = () => serve.logs().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  /** The line of a request that has an error: found by its id alone. */
  const cause = (id) => until(() => lines().find((line) => line.requestId === id && line.error), () => `no line with ${id} has a cause:\n${serve.logs().slice(-3000)}`);
  const ask = (key, id, query, operationName) => fetch(serve.graphqlUrl, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-request-id': id }, body: JSON.stringify({ query, operationName }) });
  /** Runs while the database has no such table. */
  const without = async (table, run) => {
    psql(`ALTER TABLE ${table} RENAME TO gone`);
    try {
      await run();
    } finally {
      psql(`ALTER TABLE gone RENAME TO ${table}`);
    }
  };

  test('an operation that fails by the store names its cause, its tenant and its operation', async () => {
    const key = serve.key('acme', 'viewer');
    await without('dashboard', async () => {
      const answer = await (await ask(key, 'query-1', 'query Boards { dashboards { nodes { id } } }', 'Boards')).json();
      assert.equal(answer.errors[0].extensions.requestId, 'query-1');
      const line = await cause('query-1');
      assert.match(line.error, /: .*dashboard/, 'with its causes');
      assert.deepEqual([line.tenant, line.operation], ['acme', 'Boards']);
    });
  });

  test('an authentication that fails names its cause', async () => {
    await without('api_key', async () => {
      const answer = await ask('mullion_unknown', 'key-1', '{ eventCursor }');
      assert.equal(answer.status, 503);
      assert.match((await cause('key-1')).error, /: .*api_key/);
    });
  });

  test('a webhook that fails names its cause', async () => {
    await without('endpoint', async () => {
      const answer = await fetch(`${serve.url}/webhooks/github/nowhere`, { method: 'POST', headers: { 'x-request-id': 'hook-1' }, body: '{}' });
      assert.equal(answer.status, 503);
      assert.match((await cause('hook-1')).error, /: .*endpoint/);
    });
  });

  test('the same failure of many requests is one line now and one later that names them', async () => {
    await without('api_key', async () => {
      const ids = Array.from({ length: 50 }, (_, index) => `many-${index}`);
      await Promise.all(ids.map((id) => ask('mullion_unknown', id, '{ eventCursor }')));
      const about = () => lines().filter((line) => line.error?.includes('api_key') && line.level === 'ERROR' && /^many-/.test(line.requestId ?? ''));
      assert.ok(about().length <= 1, JSON.stringify(about()));
      const named = () => ids.filter((id) => lines().some((line) => line.error?.includes('api_key') && (line.requestId === id || line.requestIds?.split(' ').includes(id))));
      await until(() => named().length === ids.length, () => `only ${named().length} are named`, 30_000);
    });
  });
});
