// What Mullion adds to GraphiQL's toolbar: the examples menu and a link to what is on screen.
import { GraphiQL } from 'graphiql';
import { pick, ToolbarButton, ToolbarMenu, UnStyledButton, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect, useState } from 'react';
import { addressOf } from './opening.js';

/** GraphiQL's own buttons with ours below. GraphiQL recognises its parts by type, so this is called, not rendered. */
export function toolbar(examples) {
  return (
    <GraphiQL.Toolbar>
      {({ prettify, copy, merge }) => (
        <>
          {prettify}
          {merge}
          {copy}
          <CopyLink />
          <Examples examples={examples} />
        </>
      )}
    </GraphiQL.Toolbar>
  );
}

/** Opens a prepared operation in a new tab. */
function Examples({ examples }) {
  const { addTab } = useGraphiQLActions();
  const { queryEditor, variableEditor } = useGraphiQL(pick('queryEditor', 'variableEditor'));
  const open = ({ query, variables }) => {
    addTab();
    queryEditor?.setValue(query);
    variableEditor?.setValue(variables);
  };
  return (
    <ToolbarMenu
      button={
        <UnStyledButton type="button" className="graphiql-toolbar-button" aria-label="Examples" title="Examples">
          <Icon path="M4 5h16M4 10h16M4 15h10M4 20h6" />
        </UnStyledButton>
      }
    >
      {examples.map((example) => (
        <ToolbarMenu.Item key={example.title} onSelect={() => open(example)}>
          {example.title}
        </ToolbarMenu.Item>
      ))}
    </ToolbarMenu>
  );
}

/** Copies an address that opens the console with this document. */
function CopyLink() {
  const { queryEditor, variableEditor, operationName } = useGraphiQL(pick('queryEditor', 'variableEditor', 'operationName'));
  const copy = () => {
    const link = addressOf({ query: queryEditor?.getValue() ?? '', variables: variableEditor?.getValue(), operationName });
    navigator.clipboard?.writeText(link).catch(() => window.history.replaceState(null, '', link));
  };
  return (
    <ToolbarButton label="Copy a link to this operation" onClick={copy}>
      <Icon path="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.6l-1.3 1.3M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.6l1.3-1.3" />
    </ToolbarButton>
  );
}

/**
 * Selects the operation that the address names, once the editor has read the document. The cursor goes there too:
 * Ctrl-Enter runs the operation under it.
 */
export function SelectOperation({ name }) {
  const [done, setDone] = useState(false);
  const { setOperationName } = useGraphiQLActions();
  const { operations, queryEditor } = useGraphiQL(pick('operations', 'queryEditor'));
  useEffect(() => {
    if (done || !operations?.length || !queryEditor) return;
    setDone(true);
    const operation = operations.find((one) => one.name?.value === name);
    if (!operation) return;
    const position = queryEditor.getModel().getPositionAt(operation.loc.start);
    queryEditor.setPosition(position);
    queryEditor.revealPositionInCenterIfOutsideViewport(position);
    queryEditor.focus();
    setOperationName(name);
  }, [done, name, operations, queryEditor, setOperationName]);
  return null;
}

function Icon({ path }) {
  return (
    <svg className="graphiql-toolbar-icon line" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
