// The prepared operations: what a newcomer finds in the tabs and in the examples menu. The documents are files of their
// own, so that the tests can hold them against the schema.
import activityLive from './examples/activity-live.graphql';
import addWidget from './examples/add-widget.graphql';
import dashboard from './examples/dashboard.graphql';
import dashboardLive from './examples/dashboard-live.graphql';
import integrations from './examples/integrations.graphql';
import workItems from './examples/work-items.graphql';

/** `tab`: open in a tab of its own when the console is opened for the first time. */
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
];

/** What stands in the variables until a dashboard is known. */
const NO_DASHBOARD = 'the id of a dashboard';

/** The examples with their variables filled in. */
export function examplesFor(dashboardId) {
  return EXAMPLES.map(({ variables, ...example }) => ({
    ...example,
    variables: variables ? JSON.stringify(variables(dashboardId ?? NO_DASHBOARD), null, 2) : '',
  }));
}
