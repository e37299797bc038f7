// Shows a dashboard with urql: a query first, then a subscription over the same address as Server-Sent Events.
import { cacheExchange, Client, fetchExchange, gql } from '@urql/core';

const client = new Client({
  url: process.env.MULLION_URL ?? 'http://localhost:4000/graphql',
  exchanges: [cacheExchange, fetchExchange],
  fetchSubscriptions: true, // subscriptions over HTTP
  preferGetMethod: false, // `mullion serve` refuses a plain GET
  fetchOptions: { headers: process.env.MULLION_KEY ? { authorization: `Bearer ${process.env.MULLION_KEY}` } : {} },
});

const WIDGET = gql`
  fragment WidgetParts on Widget {
    id
    title
    state
    ... on WorkItemsWidget { items(first: 5) { nodes { id title } } }
    ... on PullRequestsWidget { pullRequests(first: 5) { nodes { id title checks } } }
    ... on MessagesWidget { messages(first: 5) { nodes { id text } } }
  }
`;
const DASHBOARD = gql`
  query ($slug: String!) { dashboard(slug: $slug) { id name widgets { ...WidgetParts } } eventCursor }
  ${WIDGET}
`;
const UPDATES = gql`
  subscription ($id: ID!, $after: EventCursor) {
    dashboardUpdated(id: $id, after: $after) { cursor reason causes { summary } widget { ...WidgetParts } }
  }
  ${WIDGET}
`;

function show({ title, state, items, pullRequests, messages }, because = '') {
  const first = items?.nodes[0]?.title ?? pullRequests?.nodes[0]?.title ?? messages?.nodes[0]?.text;
  console.log(`${title}: ${state}${first ? `, ${first}` : ''}${because}`);
}

const slug = process.argv[2] ?? 'team';
const { data, error } = await client.query(DASHBOARD, { slug });
if (error) throw error;
if (!data.dashboard) throw new Error(`there is no dashboard ${slug}`);
for (const widget of data.dashboard.widgets) show(widget);

/** Follows the dashboard after a cursor. When the stream ends, it starts again after the newest cursor. */
function follow(after) {
  let cursor = after;
  let restarts = false;
  const restart = (wait = 500 + 1000 * Math.random()) => {
    if (restarts) return;
    restarts = true;
    setTimeout(() => {
      unsubscribe();
      follow(cursor);
    }, wait);
  };
  const { unsubscribe } = client.subscription(UPDATES, { id: data.dashboard.id, after }).subscribe((answer) => {
    const update = answer.data?.dashboardUpdated;
    if (answer.error) restart(answer.error.graphQLErrors[0]?.extensions.retryAfterMs);
    else if (update) {
      cursor = update.cursor;
      if (update.widget) show(update.widget, ` (${update.causes[0]?.summary ?? update.reason})`);
    }
    if (answer.hasNext === false) restart();
  });
}
follow(data.eventCursor);
