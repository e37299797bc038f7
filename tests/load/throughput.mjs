// Requests per second of the warm dashboard query beside a static response of the same size, in alternating rounds. A query that
// everybody asks alike comes from the response cache, so one that nobody asked before is measured too.
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { openConnection, post, request } from './connection.mjs';
import { DASHBOARD, sized } from './documents.mjs';
import { milliseconds, percentile, whole } from './figures.mjs';
import { staticResponse } from './static.mjs';

const CONNECTIONS = 32;
/** Few, so that most of the processor is left to the program. */
const THREADS = Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));
/** How far apart the numbers begin with which threads and rounds ask, so that none asks what another asked. */
const APART = 20_000;
/** The query of the six widgets, as a wall asks it. */
export const QUERY = post({ query: DASHBOARD, variables: { first: 20 } });

/** Asks the dashboard until it is warm, and gives the length of its answer. */
export async function warmUp(program) {
  const connection = await openConnection(program.port, { bodies: true });
  let length;
  for (const asked of [post(sized(0)), QUERY, QUERY]) {
    const answer = await connection.ask(asked);
    const { data, errors } = JSON.parse(answer.body);
    if (answer.status !== 200 || errors || data.dashboard.widgets.length < 6) throw new Error(`the dashboard: ${answer.status} ${answer.body.slice(0, 500)}`);
    length = answer.length;
  }
  connection.close();
  return length;
}

/** The rows of the table: `rounds` of `seconds` for each side. */
export async function measureThroughput(program, { length, rounds, seconds }) {
  const other = await staticResponse(program, length);
  const workers = startWorkers(seconds);
  const sides = {
    same: { port: program.port, bytes: QUERY, rounds: [] },
    executed: { port: program.port, rounds: [] },
    static: { port: other.port, bytes: request('GET', other.path), rounds: [] },
  };
  await program.resetStats();
  // The first round of each only warms.
  for (let number = 0; number <= rounds; number += 1) {
    for (const side of Object.values(sides)) {
      const result = await round(program, { workers, side, number, least: length / 2 });
      if (number > 0) side.rounds.push(result);
    }
  }
  for (const worker of workers) await worker.terminate();
  other.stop();
  const calls = Object.values(await program.stats()).reduce((sum, { total }) => sum + total, 0);
  return rows(sides, { other, calls, told: `${rounds} rounds of ${seconds} s in turn, ${CONNECTIONS} keep-alive connections` });
}

/** The threads that send for so many seconds in each round. */
export function startWorkers(seconds) {
  const workerData = { connections: CONNECTIONS / THREADS, seconds };
  return Array.from({ length: THREADS }, () => new Worker(new URL('hammer.mjs', import.meta.url), { workerData }));
}

/** One round of a side, and what it took of the program's processor time. */
export async function round(program, { workers, side: { port, bytes }, number, least }) {
  const before = program.cpu();
  const counts = await Promise.all(workers.map(async (worker, index) => {
    worker.postMessage({ port, bytes, least, from: (number * workers.length + index) * APART });
    const [counted] = await once(worker, 'message');
    return counted;
  }));
  const sum = (pick) => counts.reduce((total, counted) => total + pick(counted), 0);
  return {
    answers: sum((counted) => counted.answers),
    rate: sum((counted) => counted.rate),
    received: sum((counted) => counted.received),
    failures: sum((counted) => counted.failures),
    times: counts.flatMap(({ times }) => times),
    cpu: program.cpu() - before,
  };
}

/** What one side came to. */
function summary({ rounds }) {
  const total = (pick) => rounds.reduce((sum, round) => sum + pick(round), 0);
  const rates = rounds.map(({ rate }) => rate);
  const times = rounds.flatMap((round) => round.times);
  const failures = total((round) => round.failures);
  const answers = total((round) => round.answers);
  return {
    rate: percentile(rates, 0.5),
    processor: total(({ cpu }) => cpu) / answers * 1_000,
    told: `${perSecond(percentile(rates, 0.5))} requests/s (rounds from ${perSecond(Math.min(...rates))} to ${perSecond(Math.max(...rates))})`,
    more: `${whole(total(({ received }) => received) / answers)} bytes; p50 ${milliseconds(percentile(times, 0.5))}, p99 ${milliseconds(percentile(times, 0.99))}${failures ? `; ${failures} FAILED` : ''}`,
  };
}

const perSecond = (rate) => (rate < 10 ? rate.toFixed(1) : whole(rate));

function rows(sides, { other, calls, told }) {
  const [same, executed, fixed] = [sides.same, sides.executed, sides.static].map(summary);
  const ratio = (side) => `${Number((side.rate / fixed.rate).toPrecision(2))} of its requests/s`;
  return [
    ['Warm dashboard query, six widgets, the same each time', same.told, `${same.more}; from the response cache; median of ${told}`],
    ['Warm dashboard query, six widgets, other variables each time', executed.told, `${executed.more}; executed each time`],
    ['Static response', fixed.told, `${fixed.more}; \`${other.path}\` of ${other.from}`],
    ['Warm query beside static', `same ${ratio(same)}, other variables ${ratio(executed)}`, `the sender (${THREADS} thread${THREADS > 1 ? 's' : ''}) runs on the same machine`],
    ['Processor time of the program for one request', `same ${milliseconds(same.processor)}, other variables ${milliseconds(executed.processor)}, static ${other.own ? milliseconds(fixed.processor) : '–'}`, 'user and system; what the sender takes is not in it'],
    ['Provider calls during all these queries', calls, ''],
  ];
}
