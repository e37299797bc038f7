// Apollo Client: queries and mutations over HttpLink, subscriptions over GraphQLWsLink, its normalised cache by our ids.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { getMainDefinition } from '@apollo/client/utilities';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { dashboardId, schema } from './graphs.mjs';
import { startDev, until } from './harness.mjs';

let dev;
let socket;
let client;

before(async () => {
  dev = await startDev();
  socket = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket });
  const types = Object.values(schema().getTypeMap()).filter((type) => schema().getPossibleTypes && 'resolveType' in type);
  const possibleTypes = Object.fromEntries(types.map((type) => [type.name, schema().getPossibleTypes(type).map(({ name }) => name)]));
  const isSubscription = ({ query }) => getMainDefinition(query).operation === 'subscription';
  client = new ApolloClient({
    link: ApolloLink.split(isSubscription, new GraphQLWsLink(socket), new HttpLink({ uri: dev.graphqlUrl })),
    cache: new InMemoryCache({ possibleTypes }),
  });
});
after(async () => {
  client?.stop();
  await socket?.dispose();
  await dev?.stop();
});

describe('Apollo Client', () => {
  test('queries, and keeps one node once whatever it came by', async () => {
    const { data } = await client.query({ query: gql`query ($slug: String!) { dashboard(slug: $slug) { id name widgets { id title ... on WorkItemsWidget { items(first: 5) { nodes { id title state } } } } } }`, variables: { slug: 'team' } });
    assert.ok(data.dashboard.widgets.length >= 6);
    const node = data.dashboard.widgets.find((widget) => widget.items).items.nodes[0];
    const key = client.cache.identify(node);
    assert.equal(key, `${node.__typename}:${node.id}`);
    const again = await client.query({ query: gql`query ($id: ID!) { node(id: $id) { id ... on WorkItem { title } } }`, variables: { id: node.id } });
    assert.equal(again.data.node.title, node.title);
  });

  test('mutates, and its cache follows', async () => {
    const { data } = await client.mutate({ mutation: gql`mutation { createDashboard(input: { name: "Apollo" }) { dashboard { id name slug } } }` });
    const { id } = data.createDashboard.dashboard;
    await client.mutate({ mutation: gql`mutation ($id: ID!) { updateDashboard(input: { id: $id, name: "Apollo 13" }) { dashboard { id name } } }`, variables: { id } });
    assert.equal(client.readFragment({ id: `Dashboard:${id}`, fragment: gql`fragment Name on Dashboard { name }` }).name, 'Apollo 13');
  });

  test('subscribes, and a live answer updates what a query watches', async () => {
    const { result } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Before' });
    const watched = client.watchQuery({ query: gql`query ($number: Int!) { github { id repository(owner: "acme", name: "web") { id issue(number: $number) { id title } } } }`, variables: { number: result.number } });
    const titles = [];
    const reading = watched.subscribe(({ data }) => titles.push(data?.github?.repository?.issue?.title));
    await until(() => titles.includes('Before'), () => titles.join());
    const reasons = [];
    const live = client.subscribe({ query: gql`subscription ($id: ID!) { dashboardUpdated(id: $id, throttleMs: 0) { cursor reason widget { id ... on WorkItemsWidget { items(first: 50) { nodes { id title } } } } } }`, variables: { id: await dashboardId(dev) } })
      .subscribe(({ data }) => reasons.push(data.dashboardUpdated.reason));
    await until(() => reasons.includes('SNAPSHOT_END'), () => reasons.join());
    await dev.act('github', 'edit_issue', { repository: 'acme/web', number: result.number, title: 'After' });
    await until(() => titles.includes('After'), () => `${titles.join()} ${reasons.join()}`);
    live.unsubscribe();
    reading.unsubscribe();
  });

  test('asks by hash, and sends a document once', async () => {
    const sent = [];
    const counted = (uri, options) => {
      sent.push('query' in JSON.parse(options.body));
      return fetch(uri, options);
    };
    const sha256 = (text) => createHash('sha256').update(text).digest('hex');
    const link = new PersistedQueryLink({ sha256 }).concat(new HttpLink({ uri: dev.graphqlUrl, fetch: counted }));
    const persisting = new ApolloClient({ link, cache: new InMemoryCache() });
    for (const slug of ['team', 'none', 'team']) {
      const { data } = await persisting.query({ query: gql`query ByHash ($slug: String!) { dashboard(slug: $slug) { id name } }`, variables: { slug }, fetchPolicy: 'no-cache' });
      assert.equal(data.dashboard?.name, slug === 'team' ? 'Team' : undefined);
    }
    assert.deepEqual(sent, [false, true, false, false]);
    persisting.stop();
  });

  test('shows errors with their codes', async () => {
    const { error } = await client.query({ query: gql`{ dashboard(id: "no-such-id") { id } }`, errorPolicy: 'all' });
    assert.equal(error.errors[0].extensions.code, 'BAD_USER_INPUT');
  });
});
