// Budgets of tenants: what one tenant subscribes to or stores is bounded, another does not notice, and what is ended is given back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { socket } from './graphs.mjs';
import { data, startServe, until } from './harness.mjs';

const OPERATIONS = 4;
const SUBSCRIPTIONS = 7;

let serve;
let busy;
let other;
/** The first dashboard of each tenant, by its key. */
let walls;

before(async () => {
  serve = await startServe({ env: {
    MULLION_LIVE_MAX_OPERATIONS_PER_TENANT: String(OPERATIONS),
    MULLION_LIVE_MAX_SUBSCRIPTIONS_PER_TENANT: String(SUBSCRIPTIONS),
    MULLION_LIMITS_MAX_HELD_BYTES_PER_TENANT: '1000000',
    MULLION_LIMITS_MAX_DASHBOARDS: '3',
    MULLION_LIMITS_MAX_WIDGETS_PER_DASHBOARD: '2',
  } });
  [busy, other] = ['busy', 'other'].map((tenant) => serve.key(tenant, 'admin'));
  walls = new Map(await Promise.all([busy, other].map(async (key) => [key, await create(key, 'first')])));
});
after(() => serve?.stop());

const open = (key) => socket(serve.socketUrl, { headers: { authorization: `Bearer ${key}` }, init: true });
/** Makes a dashboard, and gives its id. */
const create = async (key, slug) => data(await tryCreate(key, slug)).createDashboard.dashboard.id;
const tryCreate = (key, slug) => serve.as(key)('mutation ($slug: String!) { createDashboard(input: { name: "Wall", slug: $slug }) { dashboard { id } } }', { slug });
/** Subscriptions with different names share nothing. */
const document = (key, name) => `subscription ${name} { dashboardUpdated(id: "${walls.get(key)}") { reason } }`;
let begun = 0;
/** Subscribes, and gives the refusal's errors, or nothing once the subscription has told the state. */
async function subscribe(on, query) {
  const id = `s${begun += 1}`;
  on.send({ id, type: 'subscribe', payload: { query } });
  const told = await on.next((message) => message.id === id, 'the first answer');
  return told.type === 'error' ? told.payload : undefined;
}

function assertRefused(errors, message) {
  assert.equal(errors?.length, 1, JSON.stringify(errors));
  assert.equal(errors[0].extensions.code, 'RATE_LIMITED');
  assert.ok(errors[0].extensions.retryAfter >= 1, JSON.stringify(errors));
  assert.match(errors[0].message, message);
}

describe('budgets of tenants', { timeout: 60_000 }, () => {
  test('live operations and subscriptions over all sockets, given back when a client hangs up', async () => {
    const [first, second, foreign] = await Promise.all([open(busy), open(busy), open(other)]);
    for (let number = 0; number < OPERATIONS; number += 1) assert.equal(await subscribe(number % 2 ? first : second, document(busy, `Different${number}`)), undefined);
    assertRefused(await subscribe(first, document(busy, 'OneMore')), /different subscriptions of your tenant/);
    for (let number = OPERATIONS; number < SUBSCRIPTIONS; number += 1) assert.equal(await subscribe(first, document(busy, 'Different1')), undefined, 'it shares what runs');
    assertRefused(await subscribe(second, document(busy, 'Different1')), /too many subscriptions of your tenant/);
    for (let number = 0; number < OPERATIONS; number += 1) assert.equal(await subscribe(foreign, document(other, `Different${number}`)), undefined, 'another tenant has its own');

    first.close();
    await until(async () => (await subscribe(second, document(busy, 'OneMore'))) === undefined, 'what the client that hung up had');
    const metrics = await (await fetch(`${serve.admin}/metrics`)).text();
    for (const limit of ['operations_per_tenant', 'subscriptions_per_tenant']) assert.match(metrics, new RegExp(`mullion_live_limit_hits_total\\{limit="${limit}"\\} [1-9]`));
    second.close();
    foreign.close();
  });

  test('over an event stream the refusal is told, too', async () => {
    const full = await open(busy);
    for (let number = 0; number < OPERATIONS; number += 1) await until(async () => (await subscribe(full, document(busy, `Full${number}`))) === undefined, 'what the test before had');
    const answer = await fetch(`${serve.url}/graphql/stream`, { method: 'POST', body: JSON.stringify({ query: document(busy, 'OneMore') }), headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${busy}` } });
    assert.match(await answer.text(), /event: next\ndata: .*"RATE_LIMITED".*\n\nevent: complete/s);
    full.close();
  });

  test('what a live operation holds of what its client sent', async () => {
    const stop = new AbortController();
    const stream = async (query, variables) => {
      const answer = await fetch(`${serve.url}/graphql/stream`, { method: 'POST', signal: stop.signal, body: JSON.stringify({ query, variables }), headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${other}` } });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        text += part.value;
        if (/event: next\ndata: .*\n\n/.test(text)) break;
      }
      return text;
    };
    const refused = await stream(`subscription { activity { ${'kind '.repeat(9_000)} } }`);
    assert.match(refused, /"RATE_LIMITED"/);
    const kept = await Promise.all(['x', 'y', 'z'].map((letter) => stream(`# ${letter.repeat(400_000)}\n${document(other, 'Kept')}`, { unused: letter.repeat(400_000) })));
    for (const text of kept) assert.doesNotMatch(text, /"errors"/, 'comments and variables that are not declared are not held');
    stop.abort();
    const on = await open(other);
    on.send({ id: 'i'.repeat(257), type: 'subscribe', payload: { query: 'subscription { activity { kind } }' } });
    assert.equal((await on.closed).code, 4400);
  });

  test('dashboards of a tenant and widgets of a dashboard', async () => {
    for (const slug of ['second', 'third']) await create(busy, slug);
    const [refused] = (await tryCreate(busy, 'fourth')).errors;
    assert.deepEqual([refused.extensions.code, /3 dashboards.*delete/.test(refused.message)], ['BAD_USER_INPUT', true], refused.message);
    await create(other, 'fourth');
    const add = () => serve.as(busy)('mutation ($id: ID!) { addWidget(input: { dashboardId: $id, title: "What happened", source: { activity: {} } }) { widget { id } } }', { id: walls.get(busy) });
    data(await add());
    data(await add());
    assert.match((await add()).errors[0].message, /at most 2 widgets/);
    data(await serve.as(busy)('mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: walls.get(busy) }));
    await create(busy, 'fourth');
  });
});

test('reading documents takes a tenant\'s processor time, also where they are refused', { timeout: 60_000 }, async () => {
  const small = await startServe({ env: { MULLION_LIMITS_MAX_PROCESSOR_SECONDS_PER_MINUTE: '1' } });
  try {
    const [reader, quiet] = ['reader', 'quiet'].map((tenant) => small.as(small.key(tenant, 'viewer')));
    assert.equal((await quiet('{ viewer { id } }')).errors, undefined);
    const document = (number) => `${Array.from({ length: 100 }, (_, at) => `query q${at}{...f}`).join(' ')} fragment f on Query{nothing${number} ${'viewer{id}'.repeat(300)}}`;
    let number = 0;
    const code = async () => (await reader(document(number += 1))).errors[0].extensions.code;
    assert.equal(await code(), 'GRAPHQL_VALIDATION_FAILED');
    await until(async () => (await code()) === 'RATE_LIMITED', 'the end of the time');
    assert.equal((await quiet('{ viewer { id name } }')).errors, undefined, 'another tenant has its own');
  } finally {
    await small.stop();
  }
});
