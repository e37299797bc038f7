// Two binaries in one run, MULLION_BASE_BIN and MULLION_BIN: they take turns, in an order that alternates, so that what else the
// machine does meets both. Prints one Markdown table; a difference that is not greater than the spread of the rounds is none.
import { availableParallelism, cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { openConnection } from './connection.mjs';
import { openCrowd } from './crowd.mjs';
import { target } from './deliveries.mjs';
import { percentile, table } from './figures.mjs';
import { delivery } from './issue-edited.mjs';
import { startProgram } from './program.mjs';
import { QUERY, round, startWorkers, warmUp } from './throughput.mjs';

const quick = process.argv.includes('--quick');
const ROUNDS = Math.max(5, Number(process.env.LOAD_ROUNDS ?? 5));
const SECONDS = quick ? 1 : 4;
const SOCKETS = Number(process.env.LOAD_SOCKETS?.split(',')[0] || (quick ? 100 : 1_000));
/** Connections that deliver at the same time. */
const SENDERS = 32;
/** How long what was acknowledged may take to be applied. */
const PATIENCE = 60_000;
const SETTINGS = Object.fromEntries((process.env.LOAD_SETTINGS ?? 'MULLION_LIVE_MAX_SOCKETS=100000 MULLION_LIVE_MAX_MESSAGES_PER_SECOND=1000000').split(' ').filter(Boolean).map((setting) => setting.split('=')));

const say = (text) => console.error(`tests/load: ${text}`);

/** What is compared: how a program is made ready, what a round of it gives, and what these figures are called. */
const PARTS = {
  warm: {
    what: 'Warm dashboard query',
    figures: [['rate', 'requests/s', 'more'], ['cpu', 'µs of processor time for a request', 'less']],
    async begin(program) {
      const length = await warmUp(program);
      const workers = startWorkers(SECONDS);
      return {
        async round(number) {
          const counted = await round(program, { workers, side: { port: program.port, bytes: QUERY }, number, least: length / 2 });
          if (counted.failures > 0) throw new Error(`${counted.failures} requests failed`);
          return { rate: counted.rate, cpu: counted.cpu / counted.answers * 1e6 };
        },
        end: () => Promise.all(workers.map((worker) => worker.terminate())),
      };
    },
  },
  'fan-out': {
    what: `Fan-out to ${SOCKETS} sockets`,
    figures: [['time', 'ms from a delivery to the last frame', 'less'], ['cpu', 'µs of processor time for a frame', 'less']],
    async begin(program) {
      const { id, subjects } = await target(program);
      const crowd = await openCrowd(program, { id, count: SOCKETS });
      const connection = await openConnection(program.port);
      let next = 1;
      return {
        async round() {
          const [times, frames, cpu, end] = [[], crowd.frames, program.cpu(), performance.now() + SECONDS * 1_000];
          while (performance.now() < end) {
            const bytes = delivery(next, subjects[next % subjects.length]);
            const begin = performance.now();
            const [answer] = await Promise.all([connection.ask(bytes), crowd.seen(`Title of delivery ${next}"`)]);
            if (answer.status >= 300) throw new Error(`a delivery was refused: ${answer.status}`);
            times.push(performance.now() - begin);
            next += 1;
          }
          return { time: percentile(times, 0.5), cpu: (program.cpu() - cpu) / (crowd.frames - frames) * 1e6 };
        },
        async end() {
          crowd.close();
          connection.close();
        },
      };
    },
  },
  ingest: {
    what: 'Ingest on SQLite',
    figures: [['rate', 'deliveries acknowledged/s', 'more'], ['cpu', 'µs of processor time for a delivery', 'less']],
    async begin(program) {
      const { subjects } = await target(program);
      const connections = await Promise.all(Array.from({ length: SENDERS }, () => openConnection(program.port)));
      let next = 1;
      return {
        async round() {
          const [first, begin, cpu, applied] = [next, performance.now(), program.cpu(), await appliedBy(program)];
          const end = begin + SECONDS * 1_000;
          await Promise.all(connections.map(async (connection) => {
            while (performance.now() < end) {
              const number = next;
              next += 1;
              const answer = await connection.ask(delivery(number, subjects[number % subjects.length]));
              if (answer.status >= 300) throw new Error(`a delivery was refused: ${answer.status}`);
            }
          }));
          const [count, took] = [next - first, (performance.now() - begin) / 1_000];
          // Deliveries that are acknowledged and not applied yet are work of this round too.
          const deadline = performance.now() + PATIENCE;
          while (await appliedBy(program) < applied + count) {
            if (performance.now() > deadline) throw new Error('what was acknowledged was not applied');
            await new Promise((later) => setTimeout(later, 20));
          }
          return { rate: count / took, cpu: (program.cpu() - cpu) / count * 1e6 };
        },
        end: async () => connections.forEach((connection) => connection.close()),
      };
    },
  },
};

/** How many deliveries the program has applied. */
async function appliedBy(program) {
  const text = await (await fetch(`${program.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('mullion_deliveries_total') && line.includes('result="applied"'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
}

/** The rows of a part: all rounds of both binaries, each in a program of its own that is there from the first round to the last. */
async function compare({ what, figures, begin }) {
  const sides = [];
  try {
    for (const binary of [process.env.MULLION_BASE_BIN, process.env.MULLION_BIN]) {
      const program = await startProgram(undefined, { binary, settings: SETTINGS });
      sides.push({ program, rounds: [], ...await begin(program) });
    }
    // The first round of each only warms.
    for (let number = 0; number <= ROUNDS; number += 1) {
      for (const side of number % 2 === 0 ? sides : [...sides].reverse()) {
        const result = await side.round(number);
        if (number > 0) side.rounds.push(result);
      }
    }
  } finally {
    for (const side of sides) {
      await side.end();
      await side.program.stop();
    }
  }
  return figures.map(([name, unit, better]) => {
    const [base, other] = sides.map(({ rounds }) => summary(rounds.map((round) => round[name])));
    return [`${what}: ${unit}`, base.told, other.told, verdict(base, other, better)];
  });
}

/** The median of the rounds, and how far they lie apart. */
function summary(values) {
  const [median, least, most] = [percentile(values, 0.5), Math.min(...values), Math.max(...values)];
  return { median, spread: most - least, told: `${figure(median)} (${figure(least)} to ${figure(most)})` };
}

const figure = (value) => value.toLocaleString('en-US', { maximumSignificantDigits: 4 });

/** Whether the medians lie further apart than the rounds of one side do. */
function verdict(base, other, better) {
  const share = (value) => `${(value / base.median * 100).toFixed(1)} %`;
  const [difference, spread] = [other.median - base.median, Math.max(base.spread, other.spread)];
  if (Math.abs(difference) <= spread) return `no difference (${share(difference)}, spread ${share(spread)})`;
  return `**${(difference > 0) === (better === 'more') ? 'better' : 'worse'} by ${share(Math.abs(difference))}** (spread ${share(spread)})`;
}

const wanted = Object.keys(PARTS).filter((name) => process.argv.includes(name));
const rows = [];
for (const name of wanted.length > 0 ? wanted : Object.keys(PARTS)) {
  say(`${name}, ${ROUNDS} rounds of ${SECONDS} s for each binary`);
  rows.push(...await compare(PARTS[name]));
}
console.log(`${cpus()[0].model}, ${availableParallelism()} processors, Node ${process.versions.node}; ${ROUNDS} rounds of ${SECONDS} s, in turn${quick ? ', quick: no figures to quote' : ''}\n`);
console.log(table(rows, ['What', 'Base: median (rounds)', 'This: median (rounds)', 'Difference']));
process.exit(0);
