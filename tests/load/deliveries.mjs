// From the webhook to the subscriber: deliveries one at a time, then at a steady rate, beside two live subscriptions.
import { performance } from 'node:perf_hooks';
import { openConnection } from './connection.mjs';
import { delivery, subject } from './issue-edited.mjs';
import { ITEMS, PAGE, Watch } from './watch.mjs';

/** How many connections the sender has at a steady rate, as a provider has several. */
const SENDERS = 8;

/** The rows of the table. */
export async function measureDeliveries(program, { count, rate }) {
  const { id, subjects } = await target(program);
  const watch = new Watch();
  const sockets = [await watch.widget(program, id), await watch.activity(program)];
  await program.resetStats();
  // The first few pay for connections and pages that nobody has asked for yet; they are not counted.
  let next = await oneByOne(program, { watch, subjects, first: 1, count: 20 });
  watch.forget();
  next = await oneByOne(program, { watch, subjects, first: next, count });
  const single = watch.rows('one at a time');
  watch.forget();
  await steadily(program, { watch, subjects, first: next, count, rate });
  const steady = watch.rows(`${rate} a second`);
  for (const socket of sockets) socket.terminate();
  const calls = Object.values(await program.stats()).reduce((sum, { total }) => sum + total, 0);
  return [...single, ...steady, ['Provider calls during all these deliveries', calls, `${subjects.length} issues edited in turn, all of them in the widget's first ${PAGE} items`]];
}

/** The work-items widget, and the GitHub issues on its first page. */
export async function target(program) {
  const { data } = await program.query(`{ dashboard(slug: "team") { widgets { id __typename ... on WorkItemsWidget { ${ITEMS} } } } }`);
  const widget = data.dashboard.widgets.find(({ __typename }) => __typename === 'WorkItemsWidget');
  const keys = widget.items.nodes.filter(({ __typename }) => __typename === 'GithubIssue').map(({ key }) => key);
  if (keys.length === 0) throw new Error('no GitHub issue is on the first page of the work-items widget');
  return { id: widget.id, subjects: await Promise.all(keys.map((key) => subject(program, key))) };
}

async function oneByOne(program, { watch, subjects, first, count }) {
  const connection = await openConnection(program.port);
  for (let number = first; number < first + count; number += 1) {
    const to = subjects[number % subjects.length];
    const bytes = delivery(number, to);
    watch.begin(number, to.key);
    connection.send(bytes, (failure, answer) => watch.answer(number, failure, answer));
    await watch.one(number);
  }
  connection.close();
  return first + count;
}

/** The time of a delivery runs from when it is due, also while all connections are busy. */
async function steadily(program, { watch, subjects, first, count, rate }) {
  const prepared = Array.from({ length: count }, (_, index) => {
    const to = subjects[(first + index) % subjects.length];
    return { number: first + index, key: to.key, bytes: delivery(first + index, to) };
  });
  const idle = await Promise.all(Array.from({ length: SENDERS }, () => openConnection(program.port)));
  const connections = [...idle];
  const queue = [];
  const send = () => {
    while (queue.length > 0 && idle.length > 0) {
      const [connection, { number, bytes }] = [idle.pop(), queue.shift()];
      connection.send(bytes, (failure, answer) => {
        watch.answer(number, failure, answer);
        idle.push(connection);
        send();
      });
    }
  };
  const begin = performance.now();
  for (const one of prepared) {
    const wait = begin + ((one.number - first) * 1_000) / rate - performance.now();
    if (wait > 0) await new Promise((due) => setTimeout(due, wait));
    watch.begin(one.number, one.key);
    queue.push(one);
    send();
  }
  await watch.settled();
  for (const connection of connections) connection.close();
}
