// Prints every activity, and misses none while the connection is away.
import { createClient } from 'graphql-ws';

const url = process.env.MULLION_URL ?? 'http://localhost:4000/graphql';
const headers = process.env.MULLION_KEY ? { authorization: `Bearer ${process.env.MULLION_KEY}` } : {};

/** The current position of the event stream. A subscription that starts there misses nothing that happens after this query. */
async function currentCursor() {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query: '{ eventCursor }' }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data.eventCursor;
}

// graphql-ws sends this object again whenever it reconnects, so it must hold the newest cursor.
const variables = { after: await currentCursor() };
const query = 'subscription ($after: EventCursor) { activity(after: $after) { cursor summary } }';

let retryAfterMs;
const client = createClient({
  url: url.replace(/^http/, 'ws'),
  webSocketImpl: globalThis.WebSocket ?? (await import('ws')).default, // Node 20 has no WebSocket
  connectionParams: headers,
  retryAttempts: Infinity,
  shouldRetry: (event) => event?.code !== 4403, // 4403: the key is wrong, so a retry cannot help
  retryWait: async (retries) => {
    await new Promise((done) => setTimeout(done, retryAfterMs ?? 1000 * 2 ** Math.min(retries, 5) * (0.5 + Math.random())));
    retryAfterMs = undefined;
  },
  on: {
    // A server that shuts down says when this client should return. The time differs from client to client.
    closed: ({ code, reason }) => { if (code === 1001 && reason.startsWith('{')) ({ retryAfterMs } = JSON.parse(reason)); },
    // While nothing happens, pings bring the newest cursor.
    ping: (received, payload) => { if (received && payload?.cursor) variables.after = payload.cursor; },
  },
});

function subscribe() {
  client.subscribe({ query, variables }, {
    next({ data: { activity } }) {
      variables.after = activity.cursor;
      console.log(activity.summary);
    },
    async error(failure) {
      const { code, retryAfterMs: wait } = failure?.[0]?.extensions ?? {};
      if (code === 'SERVICE_UNAVAILABLE') setTimeout(subscribe, wait);
      else if (code === 'CURSOR_EXPIRED') {
        // The client was away for too long. Load the data anew here, then follow it from now on.
        variables.after = await currentCursor();
        subscribe();
      } else {
        console.error(failure);
        process.exitCode = 1;
      }
    },
    complete() {},
  });
}
subscribe();
