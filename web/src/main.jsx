// The console: GraphiQL 5 for the graph of the gateway that served this page.
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import './console.css';
import icon from './favicon.svg';
import { examplesFor } from './examples.js';
import { createAccess, InheritHeaders, KeyNotice } from './access.jsx';
import { createFetcher } from './fetcher.js';
import { createLive, LiveStatus } from './live.jsx';
import { documentOfAddress, findDashboard, refreshStoredTabs } from './opening.js';
import { storage } from './storage.js';
import { SelectOperation, toolbar } from './toolbar.jsx';

/* global MULLION_WORKERS -- names of the built worker files, filled in by build.mjs */
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(MULLION_WORKERS[label] ?? MULLION_WORKERS.editor, { name: label }),
};

const live = createLive();
const access = createAccess();
const fetcher = createFetcher(live, access);

function Console({ examples, opened }) {
  const tabs = examples.filter((example) => example.tab).map(({ query, variables }) => ({ query, variables }));
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      defaultQuery=""
      defaultTabs={opened ? [opened, ...tabs] : tabs}
      initialQuery={opened?.query}
      initialVariables={opened?.variables}
      defaultEditorToolsVisibility="variables"
      schemaDescription
      inputValueDeprecation
    >
      <GraphiQL.Logo>
        <a className="mullion-logo" href="/console/licenses.txt" title="Mullion's console is GraphiQL; its licences">
          <img src={icon} alt="" /> Mullion
        </a>
      </GraphiQL.Logo>
      {toolbar(examples)}
      <GraphiQL.Footer>
        <KeyNotice access={access} />
        <InheritHeaders />
        <LiveStatus live={live} />
        {opened?.operationName && <SelectOperation name={opened.operationName} />}
      </GraphiQL.Footer>
    </GraphiQL>
  );
}

const dashboardId = await findDashboard();
refreshStoredTabs(dashboardId);
createRoot(document.getElementById('console')).render(
  <Console examples={examplesFor(dashboardId)} opened={documentOfAddress()} />,
);
