// A keep-alive HTTP connection that does as little as it can, so that the measured program gets the processor: one request at a
// time, written as ready bytes; of the answer only the status and the length are read, unless the body is wanted.
import { connect } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');

/** A whole request as bytes. */
export function request(method, path, headers = {}, body = '') {
  const content = Buffer.from(body);
  const lines = Object.entries({ host: '127.0.0.1', ...headers, ...(content.length > 0 && { 'content-length': content.length }) });
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`), content]);
}

/** A GraphQL request as bytes. */
export const post = (asked) => request('POST', '/graphql', { 'content-type': 'application/json' }, JSON.stringify(asked));

/** Opens a connection; `send(bytes, done)` calls `done(failure, { status, length, body })`. */
export async function openConnection(port, { bodies = false } = {}) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((open, failed) => socket.once('connect', open).once('error', failed));
  let done;
  let head = Buffer.alloc(0);
  let answer;
  let missing = 0;
  let kept = [];
  const finish = (failure) => {
    const tell = done;
    const full = answer && { ...answer, body: bodies ? Buffer.concat(kept).toString() : undefined };
    [done, answer, kept, head] = [undefined, undefined, [], Buffer.alloc(0)];
    tell?.(failure, full);
  };
  socket.on('data', (chunk) => {
    let rest = chunk;
    if (!answer) {
      head = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
      const end = head.indexOf(HEAD_END);
      if (end < 0) return;
      const text = head.toString('latin1', 0, end);
      const length = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? Number.NaN);
      if (Number.isNaN(length)) return void socket.destroy(new Error(`an answer without a length:\n${text}`));
      answer = { status: Number(text.slice(9, 12)), length };
      missing = length;
      rest = head.subarray(end + HEAD_END.length);
    }
    missing -= rest.length;
    if (bodies) kept.push(rest);
    if (missing <= 0) finish();
  });
  socket.on('error', finish).on('close', () => finish(new Error('the connection was closed')));
  return {
    send(bytes, tell) {
      done = tell;
      socket.write(bytes);
    },
    /** The same as a promise. */
    ask: (bytes) => new Promise((answered, failed) => {
      done = (failure, full) => (failure ? failed(failure) : answered(full));
      socket.write(bytes);
    }),
    close: () => socket.destroy(),
  };
}
