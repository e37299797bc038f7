// Two live subscriptions, and when each delivery was sent, answered and seen by them.
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { spread } from './figures.mjs';
import { deliveryIn } from './issue-edited.mjs';

const { WebSocket } = createRequire(new URL('../clients/package.json', import.meta.url))('ws');

/** How long a frame may take before it counts as missing. */
export const PATIENCE = 5_000;
/** How many items of the widget are watched. */
export const PAGE = 20;
/** What is watched of them. */
export const ITEMS = `items(first: ${PAGE}) { totalCount nodes { id __typename key title stateName assignees { id displayName } } }`;
const WIDGET = `subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason cursor causes { kind summary } widget { id title state ... on WorkItemsWidget { ${ITEMS} } } } }`;
const ACTIVITY = 'subscription { activity { cursor kind summary subject { __typename title } } }';

/** The stop-watch of the deliveries. */
export class Watch {
  constructor() {
    this.forget();
  }

  /** Begins anew; the subscriptions stay. */
  forget() {
    this.sent = new Map();
    this.unseen = new Map();
    this.times = { answered: new Map(), widget: new Map(), activity: new Map() };
    this.tell = undefined;
    this.refused = 0;
    this.frames = 0;
  }

  /** Subscribes to the widget. A title stands for the earlier edits of the same issue too, where one frame shows several. */
  widget(program, id) {
    return subscribe(program, { query: WIDGET, variables: { id } }, ({ widgetUpdated: { widget, reason } }, at) => {
      if (reason === 'CHANGED') this.frames += 1;
      const shown = new Map((widget?.items?.nodes ?? []).map(({ key, title }) => [key, deliveryIn(title) ?? 0]));
      for (const [number, key] of this.unseen) {
        if (!(shown.get(key) >= number)) continue;
        this.unseen.delete(number);
        this.note('widget', number, at);
      }
    });
  }

  /** Subscribes to the activity. */
  activity(program) {
    return subscribe(program, { query: ACTIVITY }, ({ activity }, at) => this.note('activity', deliveryIn(activity.summary), at));
  }

  /** From now on the time of this delivery runs. */
  begin(number, key) {
    this.unseen.set(number, key);
    this.sent.set(number, performance.now());
  }

  /** The webhook was answered. */
  answer(number, failure, answer) {
    const at = performance.now();
    if (failure || answer.status < 200 || answer.status > 299) this.refused += 1;
    else this.note('answered', number, at);
  }

  note(what, number, at) {
    const begin = this.sent.get(number);
    if (begin === undefined || this.times[what].has(number)) return;
    this.times[what].set(number, at - begin);
    if (this.complete(number)) this.tell?.();
  }

  complete(number) {
    return Object.values(this.times).every((times) => times.has(number));
  }

  /** Until every delivery was answered and seen, or patience ends. */
  async settled() {
    const deadline = performance.now() + PATIENCE;
    while (performance.now() < deadline && ![...this.sent.keys()].every((number) => this.complete(number))) {
      await new Promise((later) => {
        const late = setTimeout(later, 250);
        this.tell = () => { clearTimeout(late); later(); };
      });
    }
    this.tell = undefined;
  }

  /** Until this delivery was answered and seen, or patience ends. */
  async one(number) {
    let late;
    await new Promise((done) => {
      late = setTimeout(done, PATIENCE);
      this.tell = done;
      if (this.complete(number)) done();
    });
    clearTimeout(late);
  }

  /** Rows of the table. */
  rows(how) {
    const row = (what, times, more) => [`Webhook to ${what}, ${how}`, spread([...times.values()]), `${times.size} of ${this.sent.size}${more}`];
    const { answered, widget, activity } = this.times;
    return [
      row('2xx', answered, this.refused > 0 ? `, ${this.refused} refused` : ''),
      row('frame of `activity`', activity, ''),
      row('frame of `widgetUpdated(throttleMs: 0)`', widget, ` in ${this.frames} frames`),
    ];
  }
}

/** A subscription on a socket of its own; resolves when it is running. */
async function subscribe(program, payload, seen) {
  const socket = new WebSocket(`${program.url.replace('http', 'ws')}/graphql`, ['graphql-transport-ws'], { perMessageDeflate: false });
  await new Promise((open, failed) => socket.once('open', open).once('error', failed));
  const running = new Promise((done, failed) => {
    socket.on('message', (bytes) => {
      const at = performance.now();
      const message = JSON.parse(bytes);
      if (message.type === 'connection_ack') socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
      if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
      if (message.type === 'error' || message.payload?.errors) failed(new Error(JSON.stringify(message.payload)));
      if (message.type !== 'next' || !message.payload.data) return;
      seen(message.payload.data, at);
      if (message.payload.data.widgetUpdated?.reason === 'SNAPSHOT_END') done();
    });
  });
  socket.send(JSON.stringify({ type: 'connection_init' }));
  // `activity` says nothing before something happens.
  const quiet = new Promise((later) => setTimeout(later, 1_000));
  await Promise.race(payload.query === ACTIVITY ? [running, quiet] : [running]);
  return socket;
}
