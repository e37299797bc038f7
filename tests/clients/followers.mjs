// Subscribers to `activity` that come back by themselves with their cursor, over WebSocket and as an event stream; each keeps
// what it saw, in order.
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor summary } }';

/** With the npm client's own retry. `seen` are activities; `closes` the codes it was closed with; `web()` its socket of now. */
export function followSocket(url, key, after, { query = ACTIVITY } = {}) {
  let web;
  class Kept extends WebSocket {
    constructor(...args) { super(...args); web = this; }
  }
  const variables = { after };
  const self = { seen: [], closes: [], failure: undefined, web: () => web, stop: () => client.dispose() };
  const client = createClient({
    url,
    webSocketImpl: Kept,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 100_000,
    // While nothing listens, `ws` gives an error event, where a browser gives a close.
    shouldRetry: () => true,
    retryWait: () => new Promise((later) => setTimeout(later, 20)),
    on: {
      closed: ({ code }) => { if (code) self.closes.push(code); },
      // As docs/examples/live.mjs does: while nothing happens, pings bring the newest cursor.
      ping: (received, payload) => { if (received && payload?.cursor) variables.after = payload.cursor; },
    },
  });
  client.subscribe({ query, variables }, {
    next: ({ data, errors }) => {
      if (errors) self.failure = new Error(JSON.stringify(errors));
      else {
        self.seen.push(data.activity);
        variables.after = data.activity.cursor;
      }
    },
    error: (error) => { self.failure = error instanceof Error ? error : new Error(JSON.stringify(error)); },
    complete: () => {},
  });
  return self;
}

/** As an `EventSource` does: the id of the last event, whatever was in it, is where it goes on. */
export function followStream(url, key, after) {
  const abort = new AbortController();
  const self = { seen: [], connections: 0, failure: undefined, stop: () => abort.abort() };
  let last = after;
  const connect = async () => {
    const response = await fetch(url, {
      method: 'POST',
      signal: abort.signal,
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}`, 'last-event-id': last },
      body: JSON.stringify({ query: ACTIVITY }),
    });
    self.connections += 1;
    for await (const { event, id, data } of events(response.body)) {
      if (event === 'next') {
        const answer = JSON.parse(data);
        if (answer.errors) throw Object.assign(new Error(JSON.stringify(answer.errors)), { said: true });
        self.seen.push(answer.data.activity);
      }
      if (id) last = id;
    }
  };
  (async () => {
    while (!abort.signal.aborted && !self.failure) {
      await connect().catch((error) => { if (error.said) self.failure = error; });
      await new Promise((later) => setTimeout(later, 20));
    }
  })();
  return self;
}

/** The events of an event stream as they come: `{ event, data, id }`. */
export async function* events(body) {
  let rest = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const fields = part.split('\n').filter((line) => line && !line.startsWith(':')).map((line) => /^(\w+): ?(.*)$/.exec(line).slice(1));
      if (fields.length > 0) yield Object.fromEntries(fields);
    }
  }
}
