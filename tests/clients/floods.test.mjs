// Floods: who opens connections and says nothing, or half of it, does not keep the others out.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { data, PATIENCE, startServe, until } from './harness.mjs';

/** As many as may be open, beside all that the server opens itself. */
const FILES = 1025;
const FLOOD = 1200;

describe('more connections than files may be open', () => {
  let serve;
  let ask;
  const flood = [];
  before(async () => {
    // A process that may raise the limit does so, to a thousand beside the sockets. And no time limit helps.
    const env = { MULLION_LIVE_MAX_SOCKETS: '1', MULLION_SERVER_HEADER_TIMEOUT_SECONDS: '3600' };
    serve = await startServe({ env, under: ['sh', '-c', `ulimit -n ${FILES}; exec "$@"`, 'sh'] });
    ask = serve.as(serve.key('acme', 'admin'));
    assert.ok(data(await ask('{ eventCursor }')).eventCursor);
  });
  after(async () => {
    for (const { socket } of flood) socket.destroy();
    await serve?.stop();
  });

  test('whose headers never end: the longest ones make room', async () => {
    const { port, host } = new URL(serve.url);
    for (let index = 0; index < FLOOD; index += 1) {
      const one = { socket: connect(Number(port), '127.0.0.1'), open: true };
      one.socket.on('error', () => {}).on('close', () => { one.open = false; });
      one.socket.on('connect', () => one.socket.write(['', 'G', `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `][index % 3]));
      flood.push(one);
    }
    const open = () => flood.filter((one) => one.open).length;
    await until(() => open() <= FILES * 0.75, () => `${open()} are open`);
    const answer = await fetch(`${serve.url}/graphql?query=%7B__typename%7D`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(PATIENCE) });
    assert.equal(answer.status, 401);
    assert.ok(data(await ask('{ eventCursor }')).eventCursor, 'the database can be read');
    assert.ok(!serve.logs().includes('no connection can be accepted'), serve.logs());
  });
});
