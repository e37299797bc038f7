// Traces for an OpenTelemetry collector: one from the caller through the execution to the provider, and one from a webhook to the
// answers that it led to. A collector that is away holds up nothing.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { socket, widgetId } from './graphs.mjs';
import { data, freePorts, startDev, until } from './harness.mjs';

/** The fields of a protobuf message, by number: a list of bytes or numbers. */
function fields(bytes) {
  const found = {};
  let at = 0;
  const varint = () => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = bytes[at];
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = varint();
    let value;
    if ((key & 7) === 0) value = varint();
    else {
      const length = { 1: 8, 5: 4 }[key & 7] ?? varint();
      value = bytes.subarray(at, at + length);
      at += length;
    }
    (found[key >> 3] ??= []).push(value);
  }
  return found;
}

const text = (bytes) => Buffer.from(bytes ?? []).toString();
const hex = (bytes) => Buffer.from(bytes ?? []).toString('hex');

/** Attributes whose values are texts or whole numbers. */
function attributes(list = []) {
  return Object.fromEntries(list.map(fields).map(({ 1: [key], 2: [value] }) => {
    const { 1: [string] = [], 3: [number] = [] } = fields(value);
    return [text(key), string ? text(string) : number];
  }));
}

/** The spans of an ExportTraceServiceRequest (opentelemetry/proto/trace/v1/trace.proto). */
function spansOf(body) {
  return (fields(body)[1] ?? []).map(fields).flatMap(({ 1: [resource], 2: scopes = [] }) => {
    const service = attributes(fields(resource)[1]);
    return scopes.flatMap((scope) => fields(scope)[2] ?? []).map(fields).map((span) => ({
      trace: hex(span[1][0]), id: hex(span[2][0]), parent: hex(span[4]?.[0]), name: text(span[5][0]), kind: span[6]?.[0], attributes: attributes(span[9]), service,
    }));
  });
}

/** A collector that keeps what it is sent. */
async function startCollector() {
  const spans = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    assert.deepEqual([request.method, request.url, request.headers['content-type']], ['POST', '/v1/traces', 'application/x-protobuf']);
    spans.push(...spansOf(Buffer.concat(parts)));
    response.end();
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${server.address().port}/`, spans, stop: () => { server.closeAllConnections(); server.close(); } };
}

const CALLER = 'b7ad6b7169203331';
const traceparent = (trace) => `00-${trace}-${CALLER}-01`;
const FETCH = 'query Fetch($name: String!) { github { repository(owner: "acme", name: $name) { name openIssueCount } } }';

describe('traces', () => {
  let collector;
  let dev;
  before(async () => {
    collector = await startCollector();
    dev = await startDev({ env: { MULLION_TELEMETRY_OTLP_ENDPOINT: collector.url } });
  });
  after(async () => {
    await dev?.stop();
    collector?.stop();
  });

  const named = (trace, name) => collector.spans.filter((span) => span.trace === trace && span.name === name);
  /** The names of the spans around one, the outermost first. */
  const around = (span) => {
    const parent = collector.spans.find(({ trace, id }) => trace === span.trace && id === span.parent);
    return parent ? [...around(parent), parent.name] : [];
  };
  const shown = (trace) => () => JSON.stringify(collector.spans.filter((span) => span.trace === trace), undefined, 1);

  test('one has the request, the execution and the call to the provider, with the caller as its parent', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const answer = await fetch(`${dev.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', traceparent: traceparent(trace), 'x-request-id': 'traced-1' }, body: JSON.stringify({ query: FETCH, variables: { name: 'web' } }) });
    assert.equal((await answer.json()).errors, undefined);
    const [call] = await until(() => named(trace, 'provider_call').length > 0 && named(trace, 'request').length > 0 && named(trace, 'execution').length > 0 && named(trace, 'provider_call'), shown(trace));
    const [request] = named(trace, 'request');
    assert.equal(request.parent, CALLER);
    assert.deepEqual(around(call), ['request', 'execution']);
    assert.deepEqual([request.kind, call.kind], [2, 3], 'a server and a client');
    assert.deepEqual([request.attributes.requestId, request.attributes.route], ['traced-1', '/graphql']);
    assert.deepEqual([call.attributes.provider, call.attributes.result], ['github', 'ok']);
    assert.deepEqual([request.service['service.name'], named(trace, 'execution')[0].attributes.operation], ['mullion', 'Fetch']);
  });

  test('a socket names its trace with connection_init, and what is not one is no reason to refuse it', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    for (const value of [traceparent(trace), ['no trace']]) {
      const client = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, connectionParams: { traceparent: value }, lazy: true, retryAttempts: 0 });
      await new Promise((done, failed) => client.subscribe({ query: '{ eventCursor }' }, { next: ({ errors }) => { if (errors) failed(errors); }, error: failed, complete: done }));
      await client.dispose();
    }
    const [request] = await until(() => named(trace, 'request').length > 0 && named(trace, 'request'), shown(trace));
    assert.deepEqual([request.parent, request.attributes.route], [CALLER, 'websocket']);
  });

  test('a socket names its trace with the headers of the upgrade, where a client can set them', async () => {
    const trace = '00000000000000000000000000000abc';
    const { web, send } = await socket(dev.socketUrl, { headers: { traceparent: traceparent(trace) }, init: true });
    send({ id: '1', type: 'subscribe', payload: { query: '{ eventCursor }' } });
    const [request] = await until(() => named(trace, 'request').some(({ attributes: { route } }) => route === 'websocket') && named(trace, 'request').filter(({ attributes: { route } }) => route === 'websocket'), shown(trace));
    assert.equal(request.parent, CALLER);
    web.terminate();
  });

  test('one has a webhook and the answer that subscribers got because of it', async () => {
    const id = await widgetId(dev, 'MessagesWidget');
    const query = 'subscription Wall($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widget { ... on MessagesWidget { messages(first: 5) { nodes { text } } } } } }';
    const frames = [];
    const client = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
    client.subscribe({ query, variables: { id } }, { next: (frame) => frames.push(JSON.stringify(frame)), error: (error) => frames.push(JSON.stringify(error)), complete: () => {} });
    await until(() => frames.some((frame) => frame.includes('SNAPSHOT_END')), () => frames.join('\n'));
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Traced' });
    await until(() => frames.some((frame) => frame.includes('"Traced"')), () => frames.join('\n'));
    const answers = () => collector.spans.filter((span) => span.name === 'live_run' && around(span).join() === 'request,deliveries,live_answer');
    const [run] = await until(() => answers().length > 0 && answers(), () => JSON.stringify(collector.spans, undefined, 1).slice(-4000));
    const [request] = named(run.trace, 'request');
    assert.equal(request.attributes.route, '/webhooks/{provider}/{endpoint}');
    const { nodes: [{ id: delivery }] } = data(await dev.query('{ webhookDeliveries(first: 1) { nodes { id } } }')).webhookDeliveries;
    const { webhookDelivery } = data(await dev.query('query ($id: ID!) { webhookDelivery(id: $id) { state activities { summary } changes { cursor outdates } liveOperations { operationName subscribers } } }', { id: delivery }));
    assert.equal(webhookDelivery.state, 'APPLIED');
    assert.ok(webhookDelivery.activities.length > 0 && webhookDelivery.changes.every(({ cursor, outdates }) => cursor && outdates.length > 0), JSON.stringify(webhookDelivery));
    assert.deepEqual(webhookDelivery.liveOperations, [{ operationName: 'Wall', subscribers: 1 }]);
    await client.dispose();
  });
});

test('a collector that is away holds up nothing: queries are answered, what is not sent is counted, and SIGTERM ends the process', async () => {
  const [port] = await freePorts(1);
  const dev = await startDev({ env: { MULLION_TELEMETRY_OTLP_ENDPOINT: `http://127.0.0.1:${port}` } });
  const dropped = async () => Number(/^mullion_trace_spans_dropped_total (\d+)$/m.exec(await (await fetch(`${dev.url}/metrics`)).text())?.[1]);
  assert.ok(data(await dev.query('{ viewer { name } }')).viewer);
  await until(async () => await dropped() > 0, 'spans are dropped');
  assert.match(dev.logs(), /traces could not be exported/);
  dev.signal('SIGTERM');
  await until(() => !dev.alive(), 'the process ends');
  assert.equal(dev.exitCode(), 0);
});
