// kill -9 leaves what the kernel holds, so it proves nothing about the disk. A trace of the system calls does: each 2xx comes
// after a flush of what its delivery was written to, or after PostgreSQL's word that it is committed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { dice } from './graphs.mjs';
import { data, startSandbox, startServe, temporaryFolder, until } from './harness.mjs';
import { history } from './history.mjs';
import { dealt, repeated, shuffled, startSenders } from './senders.mjs';
import { acknowledged, parseTrace, strace, uncommitted, unflushed } from './trace.mjs';

const SECRET = 'the-secret-on-disk';
const roll = dice(7);
const happened = history(roll, { issues: 40, versions: 5 });

describe('each 2xx', () => {
  let sandbox;
  before(async () => {
    const found = spawnSync('strace', ['--version'], { encoding: 'utf8' });
    assert.equal(found.status, 0, 'strace is not installed: on Debian, apt-get install strace (./tests/run does so where it may)');
    sandbox = await startSandbox();
  });
  after(() => sandbox?.stop());

  /** Runs a gateway under strace, sends deliveries from several senders at once, and gives its calls and its port. */
  async function traced(env) {
    const file = join(temporaryFolder(), 'trace');
    const serve = await startServe({ under: strace(file), env: { MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host, ...env } });
    const ask = serve.as(serve.key('acme', 'admin'));
    const input = { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` };
    const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { webhookUrl } } }', { input })).connectIntegration;
    const sent = repeated(roll, shuffled(roll, happened), 10);
    await startSenders(integration.webhookUrl, dealt(sent, 8), SECRET).done;
    await serve.stop();
    const text = await until(() => { const all = readFileSync(file, 'latin1'); return / \+\+\+ exited with 0 \+\+\+\n$/.test(all.slice(-200)) && all; }, 'the end of the trace');
    const port = Number(new URL(serve.url).port);
    const calls = parseTrace(text);
    assert.deepEqual(acknowledged(calls, port).map(({ id }) => id).sort(), sent.map(({ id }) => id).sort());
    return { calls, port };
  }

  test('follows a flush of the log that its delivery was written to', async (context) => {
    const { calls, port } = await traced({});
    assert.deepEqual(unflushed(calls, port), []);
    const flushes = calls.filter(({ call, target }) => call === 'fdatasync' && target.endsWith('.log'));
    context.diagnostic(`${acknowledged(calls, port).length} answers, ${flushes.length} flushes of the log`);
    // The same trace without them proves nothing.
    assert.equal(unflushed(calls.filter((call) => !flushes.includes(call)), port).length, acknowledged(calls, port).length);
  });

  test('follows PostgreSQL\'s word that its delivery is committed', async () => {
    const url = newDatabase();
    // Whether that word is worth something, `serve` asks the server when it starts; that of the tests flushes nothing.
    const { calls, port } = await traced({ DATABASE_URL: url.href, MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true' });
    assert.deepEqual(uncommitted(calls, port, url.port), []);
  });
});

describe('a trace in which', () => {
  const connection = 'TCP:[127.0.0.1:1->127.0.0.1:2]';
  const request = `1 recvfrom(5<${connection}>, "POST / HTTP/1.1\\r\\nx-github-delivery: one\\r\\n\\r\\n{}", 99, 0, NULL, NULL) = 52`;
  const record = '2 write(9</db-inbox/1.log>, "\\0\\0head\\"id:one\\"body", 18) = 18';
  const flush = '2 fdatasync(9</db-inbox/1.log>) = 0';
  const answer = `1 writev(5<${connection}>, [{iov_base="HTTP/1.1 200 OK\\r\\n\\r\\n", iov_len=19}], 1) = 19`;
  for (const [name, good, lines] of [
    ['the flush is where it must be is good', true, [request, record, flush, answer]],
    ['calls overlap is good when the flush is over before the answer', true, [request, record, '2 fdatasync(9</db-inbox/1.log> <unfinished ...>', '3 read(4</x>, "", 1) = 0', '2 <... fdatasync resumed>) = 0', answer]],
    ['no flush is, is not', false, [request, record, answer]],
    ['the flush comes before the delivery is written is not', false, [request, flush, record, answer]],
    ['the flush begins before the delivery is written is not', false, [request, '3 fdatasync(9</db-inbox/1.log> <unfinished ...>', record, '3 <... fdatasync resumed>) = 0', answer]],
    ['the flush ends after the answer began is not', false, [request, record, '2 fdatasync(9</db-inbox/1.log> <unfinished ...>', answer, '2 <... fdatasync resumed>) = 0']],
    ['the flush fails is not', false, [request, record, '2 fdatasync(9</db-inbox/1.log>) = -1 EIO (Input/output error)', answer]],
    ['the flush is of another file is not', false, [request, record, '2 fdatasync(8</db-inbox/2.log>) = 0', answer]],
    ['only a part was written is not', false, [request, record.replace(/18$/, '9'), flush, answer]],
    ['the delivery is never written is not', false, [request, record.replace('id:one', 'id:two'), flush, answer]],
  ]) {
    test(name, () => assert.equal(unflushed(parseTrace(lines.join('\n')), 1).length === 0, good));
  }

  const database = 'TCP:[127.0.0.1:3->127.0.0.1:5432]';
  const insert = `2 sendto(7<${database}>, "B\\0\\0id:one", 9, 0, NULL, 0) = 9`;
  const committed = `2 recvfrom(7<${database}>, "C\\0\\0\\0\\vCOMMIT\\0Z\\0\\0\\0\\5I", 99, 0, NULL, NULL) = 18`;
  for (const [name, good, lines] of [
    ['PostgreSQL said COMMIT before the answer is good', true, [request, insert, committed, answer]],
    ['it said so of the same delivery on another connection is good', true, [request, insert, insert.replace(':3->', ':4->'), committed.replace(':3->', ':4->'), answer, committed]],
    ['it said so after the answer is not', false, [request, insert, answer, committed]],
    ['it said so before the row was sent is not', false, [request, committed, insert, answer]],
    ['it said so on another connection is not', false, [request, insert, committed.replace(':3->', ':4->'), answer]],
  ]) {
    test(name, () => assert.equal(uncommitted(parseTrace(lines.join('\n')), 1, 5432).length === 0, good));
  }
});
