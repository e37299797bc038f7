// A planted token and webhook secret are never told: not in the logs, not in any answer, not in any file.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DEV_SECRET, startDev, until } from './harness.mjs';

const TOKEN = 'ghp_PLANTEDtokenQ7w9Zx4Kf2';
const SECRET = 'PLANTEDsecretM3v8Ty6Jd1';
const APP_TOKEN = 'xapp-PLANTEDappG5n2Rw8Bc4';
const CONNECT = 'mutation ($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { integration { id name accountName status webhookUrl scopes } webhookSecret } }';

let dev;
/** Every byte that was answered. */
let answers = '';

before(async () => {
  dev = await startDev({ env: { MULLION_LOG: 'info,mullion_resolvers=trace,mullion_gateway=trace,mullion_schema=trace' } });
});
after(() => dev?.stop());

/** A secret as it is, and in the codings in which it would still be readable. */
const forms = (text) => [text, text.slice(4, 20), Buffer.from(text).toString('hex'), ...[0, 1, 2].map((shift) => Buffer.from(`${'x'.repeat(shift)}${text}`).toString('base64').slice(shift + 2, -6))];
const holds = (text) => [TOKEN, SECRET, APP_TOKEN].flatMap(forms).find((form) => text.includes(form));

async function send(body, path = '/graphql') {
  const response = await fetch(`${dev.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', accept: path === '/graphql' ? 'application/json' : 'text/event-stream' }, body: typeof body === 'string' ? body : JSON.stringify(body) });
  const text = `${JSON.stringify([...response.headers])}\n${await response.text()}`;
  answers += `${text}\n`;
  return { status: response.status, text };
}
const connect = (input) => send({ query: CONNECT, variables: { input: { provider: 'github', name: 'Planted', token: TOKEN, webhookSecret: SECRET, baseUrl: `${dev.sandbox}/github`, ...input } } });

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

describe('a planted token and secret', () => {
  test('are in no answer to a connection that is made, used, renewed and told about', async () => {
    const { text } = await connect({});
    assert.match(text, /CONNECTED/);
    assert.match(text, /"webhookSecret":null/, 'a given secret is not told again');
    const { id } = JSON.parse(text.slice(text.indexOf('\n') + 1)).data.connectIntegration.integration;
    for (const [provider, more] of [['slack', { appToken: APP_TOKEN, baseUrl: `${dev.sandbox}/slack/api/` }], ['asana', { baseUrl: `${dev.sandbox}/asana/api/1.0` }]]) assert.match((await connect({ provider, ...more })).text, /CONNECTED/);
    await until(async () => /"socketState":"OPEN"/.test((await send({ query: '{ integrations(first: 10) { nodes { health { socketState socketError } } } }' })).text), 'the socket that the app token opens');
    const { text: repository } = await send({ query: 'query ($id: ID!) { github(integrationId: $id) { viewer { login } repository(owner: "acme", name: "web") { id issues(first: 5) { nodes { title } } } } }', variables: { id } });
    assert.match(repository, /"issues"/);
    const container = JSON.parse(repository.slice(repository.indexOf('\n') + 1)).data.github.repository.id;
    assert.match((await send({ query: 'mutation ($id: ID!, $of: [ID!]!) { registerWebhooks(integrationId: $id, containerIds: $of) { integration { id } webhookSecret } }', variables: { id, of: [container] } })).text, /"webhookSecret":null/);
    assert.match((await send({ query: 'mutation ($id: ID!, $token: String, $secret: String) { updateIntegration(input: { id: $id, token: $token, webhookSecret: $secret }) { integration { id status } } }', variables: { id, token: TOKEN, secret: SECRET } })).text, /CONNECTED/);
    await send({ query: '{ integrations(first: 10) { nodes { id name accountName status scopes webhookUrl health { state lastError } quota { name remaining } } } viewer { name permissions } }' });
    const { deliveries } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Signed with the secret' });
    assert.ok(deliveries.length >= 2 && deliveries.every(({ status }) => status === 200), 'the planted secret signs');
  });

  const failures = [
    ['no URL', () => connect({ baseUrl: 'not a url' }), /error/],
    ['another scheme', () => connect({ baseUrl: 'ftp://example.com/' }), /BAD_USER_INPUT/],
    ['no https', () => connect({ baseUrl: 'http://example.com/' }), /BAD_USER_INPUT/],
    ['a base URL that has the token in it', () => connect({ baseUrl: `https://${TOKEN}:${SECRET}@127.0.0.1/` }), /BAD_USER_INPUT/],
    ...['https://127.0.0.1/', 'https://10.0.0.1/', 'https://192.168.1.1/', 'https://169.254.169.254/latest/meta-data/', 'https://[::1]/', 'https://[fd00::1]/', 'https://[::ffff:10.0.0.1]/', 'https://localhost/', 'https://0.0.0.0/'].map((baseUrl) => [`the private address ${baseUrl}`, () => connect({ baseUrl }), /BAD_USER_INPUT/]),
    ['a path where no API is', () => connect({ baseUrl: `${dev.sandbox}/nothing` }), /BAD_USER_INPUT|PROVIDER_/],
    ['an unknown provider', () => connect({ provider: 'nothing' }), /BAD_USER_INPUT/],
    ['a name that is too long', () => connect({ name: 'x'.repeat(5_000) }), /BAD_USER_INPUT/],
    ['a token with a line break', () => connect({ token: `${TOKEN}\r\nx-evil: 1` }), /error/],
    ['a token that is too long', () => connect({ token: TOKEN.repeat(5_000) }), /error/],
    ['an unknown field', () => send({ query: `mutation { connectIntegration(input: { provider: "github", name: "x", token: "${TOKEN}", webhookSecret: "${SECRET}", colour: "red" }) { integration { id } } }` }), /GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT/],
    ['an unknown field among the variables', () => connect({ colour: 'red' }), /GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT/],
    ['a list of tokens', () => connect({ token: [TOKEN, SECRET] }), /GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT/],
    ['an object as token', () => connect({ token: { [TOKEN]: SECRET } }), /GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT/],
    ['the token as a base URL', () => connect({ baseUrl: { token: TOKEN } }), /GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT/],
    ['a document that does not parse', () => send({ query: `mutation { connectIntegration(input: { token: "${TOKEN}` }), /GRAPHQL_PARSE_FAILED/],
    ['JSON that does not parse', () => send(`{"query": "{ eventCursor }", "variables": {"token": "${TOKEN}" "${SECRET}"`), /400|BAD_USER_INPUT|GRAPHQL_PARSE_FAILED/],
    ['an event stream', () => send({ query: CONNECT, variables: { input: { provider: 'github', name: 'x', token: TOKEN, webhookSecret: SECRET, baseUrl: 'https://10.0.0.1/' } } }, '/graphql/stream'), /BAD_USER_INPUT/],
  ];
  for (const [name, attempt, expected] of failures) {
    test(`are in no answer to ${name}`, async () => {
      const { text } = await attempt();
      assert.match(text, expected);
      assert.equal(holds(text), undefined, text);
    });
  }

  const faults = [['unauthorized', /BAD_USER_INPUT|PROVIDER_AUTH_EXPIRED/], ['server_error', /PROVIDER_/], ['rate_limit', /PROVIDER_RATE_LIMITED/]];
  for (const provider of ['github', 'slack', 'asana']) {
    for (const [kind, expected] of faults) {
      test(`are in no answer when ${provider} answers with ${kind}`, async () => {
        await dev.fault({ provider, kind });
        const { text } = await connect({ provider, baseUrl: `${dev.sandbox}${{ github: '/github', slack: '/slack/api/', asana: '/asana/api/1.0' }[provider]}` });
        await dev.clearFaults();
        assert.match(text, expected);
        assert.equal(holds(text), undefined, text);
      });
    }
  }

  test('are in no answer to a webhook, nor to the reads of what is broken', async () => {
    await dev.fault({ provider: 'github', kind: 'unauthorized' });
    await send({ query: '{ integrations(first: 10) { nodes { id status health { lastError } } } workItems(filter: { text: "broken" }, first: 5) { nodes { title } problems { code message } } }' });
    await dev.clearFaults();
    await send({ zen: SECRET }, '/webhooks/github/github-dev');
    await send({ zen: SECRET }, `/webhooks/github/${SECRET}`);
    for (const path of ['/metrics', '/health/ready', `/graphql?${new URLSearchParams({ query: '{ integrations { nodes { name webhookUrl } } }' })}`]) answers += await (await fetch(`${dev.url}${path}`, { headers: { accept: 'application/json' } })).text();
  });

  test('are in none of all these answers, nor in the logs', () => {
    assert.ok(answers.length > 5_000);
    assert.equal(holds(answers), undefined);
    assert.ok(dev.logs().length > 200, 'something was logged');
    assert.equal(holds(dev.logs()), undefined);
    assert.ok(!dev.logs().includes(DEV_SECRET) && !answers.includes(DEV_SECRET));
  });

  test('are in no file: the database, its write-ahead log; while it runs and after the end', async () => {
    // A stand-in's files are the provider's side: it must know the secret that it signs with, but no token.
    const look = () => {
      const found = files(dev.data).map((path) => [relative(dev.data, path), readFileSync(path, 'latin1')]);
      assert.ok(found.some(([name, bytes]) => name.startsWith('mullion.db') && bytes.includes('Planted')), 'the integration is in the database');
      for (const [name, bytes] of found) {
        for (const form of [...forms(TOKEN), ...forms(APP_TOKEN), ...(name.startsWith('sandbox') ? [] : [...forms(SECRET), DEV_SECRET])]) assert.ok(!bytes.includes(form), `${form} is in ${name}`);
      }
    };
    look();
    await dev.stop();
    look();
    assert.equal(holds(dev.logs()), undefined, 'the last words');
  });

  test('the key file is readable by its owner only', () => {
    assert.equal(statSync(join(dev.data, 'encryption.key')).mode & 0o777, 0o600);
  });
});
