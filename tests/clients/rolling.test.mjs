// docs/deploy/nginx/server.conf in front of two replicas over one PostgreSQL, which are replaced one after the other under load:
// every delivery is answered with 2xx at the first attempt, as GitHub makes no other, and a subscriber behind it sees each once.
//
//   MULLION_OLD_BIN   another binary: the replicas begin with it and are replaced by the one under test
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newDatabase } from './cluster.mjs';
import { followSocket } from './followers.mjs';
import { dice } from './graphs.mjs';
import { attempt, data, freePorts, ROOT, startSandbox, startServe, temporaryFolder, until } from './harness.mjs';
import { history, titleIn } from './history.mjs';
import { post } from './senders.mjs';

const SECRET = 'the-secret-behind-the-proxy';
const SENDERS = 8;
/** More than are sent while two replicas are replaced. */
const HISTORY = { issues: 400, versions: 50 };
const PAUSE = 20;

/** nginx with our `server` block; only the `upstream` block, the port and the folders are the test's. */
async function startNginx(ports) {
  const found = spawnSync('nginx', ['-v'], { encoding: 'utf8' });
  assert.equal(found.status, 0, 'nginx is not installed: on Debian, apt-get install nginx-light (./tests/run does so where it may)');
  const [port] = await freePorts(1);
  const folder = temporaryFolder();
  const server = readFileSync(join(ROOT, 'docs/deploy/nginx/server.conf'), 'utf8');
  assert.match(server, /^ {2}listen 80;$/m);
  writeFileSync(join(folder, 'server.conf'), server.replace('listen 80;', `listen 127.0.0.1:${port};`));
  const [, options] = /^ {2}server mullion:4000 resolve(.*);$/m.exec(readFileSync(join(ROOT, 'docs/deploy/nginx/upstream.conf'), 'utf8'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join('\n  ');
  mkdirSync(join(folder, 'logs'));
  writeFileSync(join(folder, 'nginx.conf'), `
daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary}
  upstream mullion {
    zone mullion 64k;
    ${ports.map((replica) => `server 127.0.0.1:${replica}${options};`).join('\n    ')}
    keepalive 64;
  }
  include ${join(folder, 'server.conf')};
}`);
  const child = spawn('nginx', ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  process.on('exit', () => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
  const url = `http://127.0.0.1:${port}`;
  await until(async () => {
    assert.equal(child.exitCode, null, `nginx ended: ${errors}`);
    return (await fetch(`${url}/graphql`).catch(() => undefined))?.status;
  }, 'nginx');
  return { url, stop: () => new Promise((ended) => { child.once('close', ended); child.kill('SIGTERM'); }) };
}

describe('two replicas behind nginx', { timeout: 300_000 }, () => {
  let sandbox;
  let replicas;
  let nginx;
  let key;
  let begin;
  let hook;

  before(async () => {
    sandbox = await startSandbox();
    const env = {
      DATABASE_URL: newDatabase().href,
      // That of the tests throws its data away, and flushes nothing.
      MULLION_WEBHOOKS_ALLOW_UNSAFE_DATABASE: 'true',
      MULLION_UPSTREAM_ALLOW: new URL(sandbox.url).host,
      MULLION_ENCRYPTION_KEY: attempt(['key', 'generate']).stdout.trim(),
    };
    const executable = process.env.MULLION_OLD_BIN;
    replicas = [await startServe({ env, executable }), await startServe({ env, executable })];
    nginx = await startNginx(replicas.map(({ url }) => new URL(url).port));
    key = replicas[0].key('acme', 'admin');
    const ask = replicas[0].as(key);
    const { integration } = data(await ask('mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { webhookUrl } } }', { input: { provider: 'github', name: 'GitHub', token: 'anything', webhookSecret: SECRET, baseUrl: `${sandbox.url}/github` } })).connectIntegration;
    hook = `${nginx.url}${new URL(integration.webhookUrl).pathname}`;
    begin = data(await ask('{ eventCursor }')).eventCursor;
  });
  after(async () => {
    await nginx?.stop();
    await Promise.all([...(replicas ?? []).map((replica) => replica.stop()), sandbox?.stop()]);
  });

  test('are replaced under load, and no delivery is refused or lost', async () => {
    const queue = history(dice(7), HISTORY);
    const answers = new Map();
    const sent = [];
    let over = false;
    const senders = Array.from({ length: SENDERS }, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!over && queue.length > 0) {
        const delivery = queue.shift();
        const status = await post(hook, delivery, { secret: SECRET, agent });
        answers.set(status, (answers.get(status) ?? 0) + 1);
        sent.push(delivery.title);
        await new Promise((later) => setTimeout(later, PAUSE));
      }
      agent.destroy();
    });
    const follower = followSocket(`${nginx.url.replace('http', 'ws')}/graphql`, key, begin);
    const reached = (count) => until(() => sent.length >= count, `${count} deliveries`, 60_000);
    await reached(200);
    for (const replica of replicas) await replica.restart();
    await reached(sent.length + 200);
    over = true;
    await Promise.all(senders);
    assert.ok(queue.length > 0, 'there were deliveries until the end');
    assert.deepEqual([...answers], [[200, sent.length]], 'each was answered with 200 at the first attempt');
    await until(() => {
      if (follower.failure) throw follower.failure;
      return follower.seen.length >= sent.length;
    }, () => `${sent.length} activities, only ${follower.seen.length}`, 120_000);
    const seen = follower.seen.map(({ summary }) => titleIn(summary));
    assert.deepEqual(seen.sort(), sent.sort(), 'the subscriber saw each once');
    await follower.stop();
  });

  test('are asked in the providers\' logs for what was dropped within a minute after a replacement', async () => {
    const rounds = async () => {
      const texts = await Promise.all(replicas.map(async ({ admin }) => (await fetch(`${admin}/metrics`)).text()));
      return texts.flatMap((text) => [...text.matchAll(/^mullion_reconcile_rounds_total\{provider="github",result="\w+"\} (\d+)/gm)]).reduce((all, [, count]) => all + Number(count), 0);
    };
    await until(async () => await rounds() > 0, 'a look at the provider', 60_000);
  });
});
