// Carries GraphiQL's operations to the gateway that served the page: queries and mutations over HTTP, subscriptions over
// a WebSocket of the same origin (subprotocol graphql-transport-ws).
import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { NEEDS_KEY } from './access.jsx';

const ENDPOINT = '/graphql';

const UNAUTHORIZED = 401;
const FORBIDDEN = 4403;

/** Runs one query or mutation; answers with what the server said, errors included. */
export async function post(params, headers = {}, access) {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json, application/json',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(params),
  });
  const text = await response.text();
  if (response.status === UNAUTHORIZED) {
    access?.refused();
    throw withoutStack(NEEDS_KEY);
  }
  access?.granted();
  try {
    return JSON.parse(text);
  } catch {
    throw withoutStack(`The server answered ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

/**
 * The fetcher that GraphiQL calls. `live` is told what happens to a subscription: `started`, then `answered` for each
 * answer, and `ended`; `access` whether the server takes our key.
 */
export function createFetcher(live, access) {
  return (given, { headers } = {}) => {
    const { params, operation } = operationOf(given);
    return operation?.operation === 'subscription' ? subscribe(params, headers, live, access) : post(params, headers, access);
  };
}

/**
 * The operation that is meant. GraphiQL reads the editor a moment after it has changed: what it says of the document may be of
 * the tab before. The document itself is right, and the only operation in it is meant whatever name came along.
 */
function operationOf(params) {
  let document;
  try {
    document = parse(params.query);
  } catch {
    return { params, operation: null }; // the server says what is wrong with it
  }
  const only = getOperationAST(document);
  if (!only) return { params, operation: getOperationAST(document, params.operationName) };
  return { params: { ...params, operationName: only.name?.value }, operation: only };
}

/**
 * An observable over a socket of its own, so that it always has the credentials of the headers editor. No async
 * generator: one that waits for the next answer cannot be stopped.
 */
function subscribe(params, headers, live, access) {
  return {
    subscribe(sink) {
      const client = createClient({
        url: `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${ENDPOINT}`,
        connectionParams: connectionParams(headers),
        keepAlive: 20_000,
        retryAttempts: 5,
        shouldRetry: isConnectionLost,
      });
      const run = live.started();
      const ended = (tell) => {
        run.ended();
        client.dispose();
        tell();
      };
      const unsubscribe = client.subscribe(params, {
        next(answer) {
          access.granted();
          run.answered(answer);
          sink.next(answer);
        },
        error: (problem) => {
          if (problem?.code === FORBIDDEN) access.refused();
          ended(() => sink.error(readable(problem)));
        },
        complete: () => ended(() => sink.complete()),
      });
      return {
        unsubscribe: () => {
          run.ended();
          unsubscribe();
        },
      };
    },
  };
}

/** A WebSocket of a page carries no headers: `Authorization` travels in the first message instead. */
function connectionParams(headers = {}) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [/^authorization$/i.test(name) ? 'authorization' : name, value]),
  );
}

/** Codes from 4000 on are the server's own word and stay; anything else is a lost connection and worth another try. */
function isConnectionLost(problem) {
  return typeof problem?.code !== 'number' || problem.code < 4000;
}

/** A close event or a list of GraphQL errors as something that GraphiQL can show. */
function readable(problem) {
  if (Array.isArray(problem)) return problem; // GraphQL errors: GraphiQL shows them as they are
  if (typeof problem?.code !== 'number') return withoutStack(problem?.message ?? 'The live connection could not be made.');
  if (problem.code === FORBIDDEN) return withoutStack(NEEDS_KEY);
  return withoutStack(`The server closed the live connection: ${problem.code} ${problem.reason}`.trim());
}

/** GraphiQL would show where in the bundle an error was made. */
function withoutStack(message) {
  const error = new Error(message);
  delete error.stack;
  return error;
}
