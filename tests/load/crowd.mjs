// Many sockets with the same subscription, which only look for the title that the last delivery brought.
import { createRequire } from 'node:module';
import { ITEMS, PATIENCE } from './watch.mjs';

const { WebSocket } = createRequire(new URL('../clients/package.json', import.meta.url))('ws');

const DOCUMENT = `subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widget { title ... on WorkItemsWidget { ${ITEMS} } } } }`;
/** How many sockets are opened at a time. */
const OPENING = 50;

/** Opens the sockets; `seen(text)` resolves when all of them have got a frame that shows the text. */
export async function openCrowd(program, { id, count }) {
  const crowd = { frames: 0 };
  let looked = { text: undefined, missing: 0, done: () => {} };
  const open = () => new Promise((ready, failed) => {
    const socket = new WebSocket(`${program.url.replace('http', 'ws')}/graphql`, ['graphql-transport-ws'], { perMessageDeflate: false });
    let last;
    socket.on('error', failed);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init' })));
    socket.on('message', (bytes) => {
      if (bytes.includes('"type":"connection_ack"')) return socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: DOCUMENT, variables: { id } } }));
      if (bytes.includes('"type":"ping"')) return socket.send(JSON.stringify({ type: 'pong' }));
      if (bytes.includes('"errors"') || bytes.includes('"type":"error"')) return failed(new Error(String(bytes).slice(0, 500)));
      if (bytes.includes('SNAPSHOT_END')) return ready(socket);
      crowd.frames += 1;
      if (last === looked || looked.text === undefined || !bytes.includes(looked.text)) return undefined;
      last = looked;
      looked.missing -= 1;
      if (looked.missing === 0) looked.done();
      return undefined;
    });
  });
  const sockets = [];
  while (sockets.length < count) sockets.push(...await Promise.all(Array.from({ length: Math.min(OPENING, count - sockets.length) }, open)));
  crowd.seen = async (text) => {
    let late;
    await new Promise((done, failed) => {
      looked = { text, missing: count, done };
      late = setTimeout(() => failed(new Error(`${looked.missing} of ${count} sockets did not get a delivery in ${PATIENCE} ms`)), PATIENCE);
    });
    clearTimeout(late);
  };
  crowd.close = () => sockets.forEach((socket) => socket.terminate());
  return crowd;
}
