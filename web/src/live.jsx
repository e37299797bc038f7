// The line under the answer that shows a subscription at work: GraphiQL itself shows only the newest answer.
import { useSyncExternalStore } from 'react';

const KEPT = 4;
const IDLE = { running: false, count: 0, latest: [] };

/** Told by the fetcher, read by the status line. */
export function createLive() {
  let state = IDLE;
  const listeners = new Set();
  const set = (next) => {
    state = next;
    for (const listener of listeners) listener();
  };
  return {
    started: () => set({ ...IDLE, running: true }),
    answered: (answer) =>
      set({
        ...state,
        count: state.count + 1,
        latest: [{ key: state.count, time: new Date().toLocaleTimeString(), text: inShort(answer) }, ...state.latest].slice(0, KEPT),
      }),
    ended: () => set({ ...state, running: false }),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    snapshot: () => state,
  };
}

/** An answer in a few words: what the contract's subscriptions say of themselves. */
function inShort({ data, errors }) {
  if (errors?.length) return errors[0].message;
  const [value] = Object.values(data ?? {});
  const words = [value?.reason, value?.widget?.title ?? value?.summary ?? value?.node?.title, value?.causes?.[0]?.summary];
  return words.filter(Boolean).join(' · ') || 'an answer';
}

/** Shown from the first subscription on. */
export function LiveStatus({ live }) {
  const { running, count, latest } = useSyncExternalStore(live.subscribe, live.snapshot);
  if (!running && count === 0) return null;
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
