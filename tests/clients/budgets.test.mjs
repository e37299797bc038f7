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

before(async () => {
  serve = await startServe({ env: {
    MULLION_LIVE_MAX_OPERATIONS_PER_TENANT: String(OPERATIONS),
    MULLION_LIVE_MAX_SUBSCRIPTIONS_PER_TENANT: String(SUBSCRIPTIONS),
    MULLION_LIMITS_MAX_DASHBOARDS: '3',
    MULLION_LIMITS_MAX_WIDGETS_PER_DASHBOARD: '2',
  } });
  [busy, other] = ['busy', 'other'].map((tenant) => serve.key(tenant, 'admin'));
});
after(() => serve?.stop());

const open = (key) => socket(serve.socketUrl, { headers: { authorization: `Bearer ${key}` }, init: true });
const document = (name) => `subscription ${name} { activity { cursor } }`;
let begun = 0;
/** Subscribes, and gives the refusal's errors, or nothing once the subscription runs: a query behind it is answered after it was begun. */
async function subscribe(on, query) {
  const id = `s${begun += 1}`;
  on.send({ id, type: 'subscribe', payload: { query } });
  on.send({ id: `q${id}`, type: 'subscribe', payload: { query: '{ viewer { id } }' } });
  await on.next((message) => message.id === `q${id}` && message.type === 'complete', 'the answer behind it');
  const refused = on.messages.find((message) => message.id === id && message.type === 'error');
  return refused?.payload;
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
    for (let number = 0; number < OPERATIONS; number += 1) assert.equal(await subscribe(number % 2 ? first : second, document(`Different${number}`)), undefined);
    assertRefused(await subscribe(first, document('OneMore')), /different subscriptions of your tenant/);
    for (let number = OPERATIONS; number < SUBSCRIPTIONS; number += 1) assert.equal(await subscribe(first, document('Different1')), undefined, 'it shares what runs');
    assertRefused(await subscribe(second, document('Different1')), /too many subscriptions of your tenant/);
    for (let number = 0; number < OPERATIONS; number += 1) assert.equal(await subscribe(foreign, document(`Different${number}`)), undefined, 'another tenant has its own');

    first.close();
    await until(async () => (await subscribe(second, document('OneMore'))) === undefined, 'what the client that hung up had');
    const metrics = await (await fetch(`${serve.admin}/metrics`)).text();
    for (const limit of ['operations_per_tenant', 'subscriptions_per_tenant']) assert.match(metrics, new RegExp(`mullion_live_limit_hits_total\\{limit="${limit}"\\} [1-9]`));
    second.close();
    foreign.close();
  });

  test('over an event stream the refusal is told, too', async () => {
    const full = await open(busy);
    for (let number = 0; number < OPERATIONS; number += 1) await subscribe(full, document(`Full${number}`));
    const answer = await fetch(`${serve.url}/graphql/stream`, { method: 'POST', body: JSON.stringify({ query: document('OneMore') }), headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${busy}` } });
    assert.match(await answer.text(), /event: next\ndata: .*"RATE_LIMITED".*\n\nevent: complete/s);
    full.close();
  });

  test('dashboards of a tenant and widgets of a dashboard', async () => {
    const create = (key, slug) => serve.as(key)('mutation ($slug: String!) { createDashboard(input: { name: "Wall", slug: $slug }) { dashboard { id } } }', { slug });
    const ids = [];
    for (const slug of ['a', 'b', 'c']) ids.push(data(await create(busy, slug)).createDashboard.dashboard.id);
    const [refused] = (await create(busy, 'd')).errors;
    assert.deepEqual([refused.extensions.code, /3 dashboards.*delete/.test(refused.message)], ['BAD_USER_INPUT', true], refused.message);
    data(await create(other, 'd'));
    const add = () => serve.as(busy)('mutation ($id: ID!) { addWidget(input: { dashboardId: $id, title: "What happened", source: { activity: {} } }) { widget { id } } }', { id: ids[0] });
    data(await add());
    data(await add());
    assert.match((await add()).errors[0].message, /at most 2 widgets/);
    data(await serve.as(busy)('mutation ($id: ID!) { deleteDashboard(id: $id) { deletedId } }', { id: ids[1] }));
    data(await create(busy, 'd'));
  });
});
