// Shows a dashboard with Apollo Client: a query fills the cache, a subscription keeps it up to date.
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';

const uri = process.env.MULLION_URL ?? 'http://localhost:4000/graphql';
const headers = process.env.MULLION_KEY ? { authorization: `Bearer ${process.env.MULLION_KEY}` } : {};

/** Which types implement which interface. A real project generates this list: see docs/guide/frontend.md. */
async function possibleTypes() {
  const response = await fetch(uri, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query: '{ __schema { types { name possibleTypes { name } } } }' }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return Object.fromEntries(data.__schema.types.filter((type) => type.possibleTypes).map((type) => [type.name, type.possibleTypes.map(({ name }) => name)]));
}

const client = new ApolloClient({
  link: new HttpLink({ uri, headers }), // subscriptions use it, too
  cache: new InMemoryCache({ possibleTypes: await possibleTypes() }),
});

const WIDGET = gql`
  fragment WidgetParts on Widget {
    id
    title
    state
    ... on WorkItemsWidget { items(first: 5) { totalCount nodes { id title stateName } } }
    ... on PullRequestsWidget { pullRequests(first: 5) { nodes { id title checks } } }
    ... on MessagesWidget { messages(first: 5) { nodes { id text } } }
  }
`;
const DASHBOARD = gql`
  query ($slug: String!) { dashboard(slug: $slug) { id name widgets { ...WidgetParts } } eventCursor }
  ${WIDGET}
`;
const UPDATES = gql`
  subscription ($id: ID!, $after: EventCursor) { dashboardUpdated(id: $id, after: $after) { cursor reason widget { ...WidgetParts } } }
  ${WIDGET}
`;

const variables = { slug: process.argv[2] ?? 'team' };
const { data } = await client.query({ query: DASHBOARD, variables });
if (!data.dashboard) throw new Error(`there is no dashboard ${variables.slug}`);

// A component watches the query. It renders again when the subscription changes something in the cache.
client.watchQuery({ query: DASHBOARD, variables, fetchPolicy: 'cache-only' }).subscribe(({ data: { dashboard } = {} }) => {
  if (!dashboard?.widgets) return;
  console.log(`— ${dashboard.name}`);
  for (const { title, state, items, pullRequests, messages } of dashboard.widgets) {
    const first = items?.nodes[0]?.title ?? pullRequests?.nodes[0]?.title ?? messages?.nodes[0]?.text;
    console.log(`${title}: ${state}${first ? `, ${first}` : ''}`);
  }
});

/** Follows the dashboard after a cursor. When the subscription ends, it starts again after the newest cursor. */
function follow(after) {
  let cursor = after;
  let wait = 500 + 1000 * Math.random();
  client.subscribe({ query: UPDATES, variables: { id: data.dashboard.id, after: cursor }, errorPolicy: 'all' }).subscribe({
    next(answer) {
      cursor = answer.data?.dashboardUpdated.cursor ?? cursor;
      const { retryAfterMs } = answer.error?.errors?.[0]?.extensions ?? {};
      if (retryAfterMs) wait = retryAfterMs;
    },
    error() { setTimeout(follow, wait, cursor); },
    complete() { setTimeout(follow, wait, cursor); },
  });
}
follow(data.eventCursor);
