// Senders of webhooks as providers are: several at a time, each of them sends again what was not answered with 2xx, and only that.
import { Agent, request } from 'node:http';
import { headers } from './history.mjs';
import { until } from './harness.mjs';

/** The list in another order. */
export function shuffled(dice, list) {
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = dice(last + 1);
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}

/** The list, and some of it once more. */
export const repeated = (dice, list, oneIn) => [...list, ...list.filter(() => dice(oneIn) === 0)];

/** Posts a delivery: the status, or 0 when nobody answered. */
export function post(url, delivery, { secret, agent }) {
  const body = delivery.body();
  return new Promise((answered) => {
    const sent = request(url, { method: 'POST', agent, headers: { ...headers(delivery, body, secret), 'content-length': Buffer.byteLength(body) } }, (response) => {
      response.on('error', () => answered(0)).on('close', () => answered(0)).on('end', () => answered(response.statusCode)).resume();
    });
    sent.on('error', () => answered(0));
    sent.end(body);
  });
}

/**
 * Sends what is in the queues, each queue by a sender of its own that waits for its answers one by one: `acknowledged` counts
 * answers, `refused` how often it was to be sent again, `done` is a promise.
 */
export function startSenders(url, queues, secret) {
  const told = { acknowledged: 0, again: 0 };
  const work = async (queue) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const delivery of queue) {
      await until(async () => {
        const status = await post(url, delivery, { secret, agent });
        if (status >= 200 && status < 300) return true;
        if (status !== 0 && status !== 503) throw new Error(`${status} for ${delivery.id}`);
        told.again += 1;
        return false;
      }, `a 2xx for ${delivery.id}`, 60_000);
      told.acknowledged += 1;
    }
    agent.destroy();
  };
  const done = Promise.all(queues.map(work));
  // A caller that waits for something else meanwhile is told by `done` in the end.
  done.catch(() => {});
  return Object.assign(told, { done });
}

/** Deals a list to so many queues. */
export const dealt = (list, count) => Array.from({ length: count }, (_, queue) => list.filter((_, index) => index % count === queue));
