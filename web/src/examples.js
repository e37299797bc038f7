// The prepared operations: what a newcomer finds in the tabs and in the examples menu. The documents are files of their
// own, so that the tests can hold them against the schema.
import activityLive from './examples/activity-live.graphql';
import addWidget from './examples/add-widget.graphql';
import connect from './examples/connect.graphql';
import createDashboard from './examples/create-dashboard.graphql';
import dashboard from './examples/dashboard.graphql';
import dashboardLive from './examples/dashboard-live.graphql';
import integrations from './examples/integrations.graphql';
import registerWebhooks from './examples/register-webhooks.graphql';
import workItems from './examples/work-items.graphql';

/**
 * `tab`: open in a tab of its own when the console is opened for the first time; `firstStep`: the same where there is no dashboard
 * yet, before the others.
 */
const EXAMPLES = [
  { title: "The team's dashboard", query: dashboard, tab: true },
  { title: 'The dashboard, live', query: dashboardLive, tab: true, variables: (id) => ({ id }) },
  { title: 'Activity, live', query: activityLive, tab: true },
  {
    title: 'Add a widget',
    query: addWidget,
    tab: true,
    variables: (id) => ({ dashboardId: id, title: 'Open work everywhere' }),
  },
  { title: 'Work items of all providers', query: workItems, variables: () => ({ states: ['TODO', 'IN_PROGRESS'] }) },
  { title: 'Integrations and their health', query: integrations },
  {
    title: 'First step: connect an account',
    query: connect,
    firstStep: true,
    variables: () => ({ input: { provider: 'github', name: 'GitHub', token: 'a token of the provider' } }),
  },
  {
    title: 'Second step: register webhooks',
    query: registerWebhooks,
    firstStep: true,
    variables: () => ({ integrationId: 'the id of an integration', containerIds: ['the id of a repository or project'] }),
  },
  { title: 'Third step: create a dashboard', query: createDashboard, firstStep: true, variables: () => ({ name: 'Team' }) },
];

/** What stands in the variables until a dashboard is known. */
const NO_DASHBOARD = 'the id of a dashboard';

/** The examples with their variables filled in, those for tabs in their order. `dashboardId` is null where there is none yet. */
export function examplesFor(dashboardId) {
  const isNew = !dashboardId;
  const inOrder = isNew ? [...EXAMPLES].sort((one, other) => Boolean(other.firstStep) - Boolean(one.firstStep)) : EXAMPLES;
  return inOrder.map(({ variables, tab, firstStep, ...example }) => ({
    ...example,
    tab: tab || (isNew && firstStep),
    variables: variables ? JSON.stringify(variables(dashboardId ?? NO_DASHBOARD), null, 2) : '',
  }));
}
