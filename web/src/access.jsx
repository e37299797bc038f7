// A server that asks for a key: what to do is said in so many words, and a key that was given once is there in new tabs.
import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect, useRef, useSyncExternalStore } from 'react';

const EXAMPLE = '{ "Authorization": "Bearer YOUR-KEY" }';

/** In the place of an answer. */
export const NEEDS_KEY = `This server needs an API key, and takes none that is wrong or revoked. Open the Headers editor below the operation, enter ${EXAMPLE}, and run it again.`;

/** Told by the fetcher whether the server let us in, read by the notice. */
export function createAccess() {
  let refused = false;
  const listeners = new Set();
  const set = (next) => {
    if (next === refused) return;
    refused = next;
    for (const listener of listeners) listener();
  };
  return {
    refused: () => set(true),
    granted: () => set(false),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    snapshot: () => refused,
  };
}

/** Shown while the server refuses us. When it no longer does, the documentation is fetched, which was refused too. */
export function KeyNotice({ access }) {
  const refused = useSyncExternalStore(access.subscribe, access.snapshot);
  const { introspect } = useGraphiQLActions();
  const was = useRef(refused);
  useEffect(() => {
    if (was.current && !refused) introspect();
    was.current = refused;
  }, [refused, introspect]);
  if (!refused) return null;
  return (
    <p className="needs-key" role="alert">
      This server needs an API key: open the <strong>Headers</strong> editor below the operation, enter <code>{EXAMPLE}</code> and run an
      operation. <code>mullion key create</code> makes a key.
    </p>
  );
}

/** A new tab begins with the headers of the tab that it was opened from. They stay in memory: GraphiQL stores no headers. */
export function InheritHeaders() {
  const { tabs, activeTabIndex, headerEditor } = useGraphiQL(pick('tabs', 'activeTabIndex', 'headerEditor'));
  const shown = tabs[activeTabIndex]?.id;
  const before = useRef(null);
  useEffect(() => {
    if (!headerEditor) return;
    const isNew = before.current && !before.current.ids.includes(shown);
    const headers = isNew ? tabs.find(({ id }) => id === before.current.shown)?.headers : null;
    if (headers?.trim() && !headerEditor.getValue().trim()) headerEditor.setValue(headers);
    before.current = { shown, ids: tabs.map(({ id }) => id) };
  }, [shown, tabs, headerEditor]);
  return null;
}
