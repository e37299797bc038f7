// The line under the answer that shows a subscription at work: GraphiQL itself shows only the newest answer.
import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect, useSyncExternalStore } from 'react';

const KEPT = 4;
/** The state of a tab in which no subscription was started. */
const NOTHING = Object.freeze({ running: false, count: 0, latest: [] });

/** Told by the fetcher, read by the status line. What a subscription did belongs to the tab that it was started in. */
export function createLive() {
  const states = new Map();
  let shown;
  const listeners = new Set();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  return {
    /** A subscription begins in the tab that is shown. */
    started() {
      const tab = shown;
      let state = { ...NOTHING, running: true };
      const set = (next) => {
        // A later subscription of the same tab, or the tab's end, has taken the place.
        if (states.get(tab) !== state) return;
        state = next;
        states.set(tab, state);
        tell();
      };
      states.set(tab, state);
      tell();
      return {
        answered: (answer) =>
          set({
            ...state,
            count: state.count + 1,
            latest: [{ key: state.count, time: new Date().toLocaleTimeString(), text: inShort(answer) }, ...state.latest].slice(0, KEPT),
          }),
        ended: () => set({ ...state, running: false }),
      };
    },
    /** Which tab is shown, of which there are. */
    show(tab, tabs) {
      shown = tab;
      for (const known of states.keys()) if (!tabs.includes(known)) states.delete(known);
      tell();
    },
    runsElsewhere: () => [...states].some(([tab, state]) => tab !== shown && state.running),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    snapshot: () => states.get(shown) ?? NOTHING,
  };
}

/** An answer in a few words: what the contract's subscriptions say of themselves. */
function inShort({ data, errors }) {
  if (errors?.length) return errors[0].message;
  const [value] = Object.values(data ?? {});
  const words = [value?.reason, value?.widget?.title ?? value?.summary ?? value?.node?.title, value?.causes?.[0]?.summary];
  return words.filter(Boolean).join(' · ') || 'an answer';
}

/** Shown from a tab's first subscription on, with that tab only. */
export function LiveStatus({ live }) {
  const { tabs, activeTabIndex } = useGraphiQL(pick('tabs', 'activeTabIndex'));
  const { stop } = useGraphiQLActions();
  const ids = tabs.map(({ id }) => id).join(' ');
  const shown = tabs[activeTabIndex]?.id;
  useEffect(() => {
    live.show(shown, ids.split(' '));
    // GraphiQL stops what runs when another tab is chosen, but not when one is added: its answers would go there.
    if (live.runsElsewhere()) stop();
  }, [live, shown, ids, stop]);
  const state = useSyncExternalStore(live.subscribe, live.snapshot);
  if (state === NOTHING) return null;
  const { running, count, latest } = state;
  return (
    <div className="live" role="status" aria-live="off">
      <p className={running ? 'live-state running' : 'live-state'}>
        {running ? 'Live' : 'Ended'} · {count} {count === 1 ? 'answer' : 'answers'}
      </p>
      <ol>
        {latest.map(({ key, time, text }) => (
          <li key={key}>
            <time>{time}</time> {text}
          </li>
        ))}
      </ol>
    </div>
  );
}
