// Decides what the console opens with: the address's document, the tabs of last time, or the examples.
import { post } from './fetcher.js';

const START = /* GraphQL */ `
  query ConsoleStart {
    dashboard(slug: "team") { id }
    dashboards(first: 1) { nodes { id } }
  }
`;
// A server on a busy machine may need seconds for its first answer; without it the examples have no id to show.
const PATIENCE_MS = 10_000;
const REMEMBERED = 'mullion:dashboard';
const STORED = ['graphiql:tabState', 'graphiql:variables'];

/** The id that the examples' variables need, or null: a server that asks for a key first, or has no dashboard. */
export async function findDashboard() {
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const answer = await Promise.race([post({ query: START, operationName: 'ConsoleStart' }).catch(() => null), patience]);
  return answer?.data?.dashboard?.id ?? answer?.data?.dashboards?.nodes?.[0]?.id ?? null;
}

/**
 * Tabs outlive the data folder that their ids came from: where the id that we filled in has changed, the new one takes
 * its place in what GraphiQL kept.
 */
export function refreshStoredTabs(dashboardId, storage = localStorage) {
  if (!dashboardId) return;
  const before = storage.getItem(REMEMBERED);
  storage.setItem(REMEMBERED, dashboardId);
  if (!before || before === dashboardId) return;
  for (const key of STORED) {
    const value = storage.getItem(key);
    if (value) storage.setItem(key, value.replaceAll(before, dashboardId));
  }
}

/** `/?query=…&variables=…&operationName=…`; null when the address brings no document. */
export function documentOfAddress(search = location.search) {
  const address = new URLSearchParams(search);
  const query = address.get('query');
  if (!query) return null;
  return { query, variables: indented(address.get('variables')), operationName: address.get('operationName') };
}

/** An address that opens the console with this document. */
export function addressOf({ query, variables, operationName }) {
  const address = new URL('/', location.href);
  address.searchParams.set('query', query);
  if (variables?.trim()) address.searchParams.set('variables', variables);
  if (operationName) address.searchParams.set('operationName', operationName);
  return address.href;
}

function indented(json) {
  try {
    return json ? JSON.stringify(JSON.parse(json), null, 2) : '';
  } catch {
    return json; // shown as it came: the editor marks what is wrong with it
  }
}
