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
