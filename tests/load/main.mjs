// Measures everything and prints one Markdown table; how far it is it says on standard error.
import { statSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { spawnSync } from 'node:child_process';
import { measureCalls } from './calls.mjs';
import { measureDeliveries } from './deliveries.mjs';
import { mebibytes, milliseconds, percentile, table } from './figures.mjs';
import { startProgram } from './program.mjs';
import { measureThroughput, warmUp } from './throughput.mjs';

const quick = process.argv.includes('--quick');
const count = quick ? 100 : 1_000;
const rate = Number(process.env.LOAD_RATE ?? 100);
const STARTS = 5;

const say = (text) => console.error(`tests/load: ${text}`);

/** Starts in empty folders and again in the same ones. */
async function startUp() {
  const first = [];
  const again = [];
  for (let time = 0; time < STARTS; time += 1) {
    const program = await startProgram();
    first.push(program.readyAfter);
    await program.stop();
    const second = await startProgram(program.folder);
    again.push(second.readyAfter);
    await second.stop();
  }
  const result = (times) => `${milliseconds(percentile(times, 0.5))} (from ${milliseconds(Math.min(...times))} to ${milliseconds(Math.max(...times))})`;
  return [
    ['Start to ready, empty folder', result(first), `median of ${STARTS}; makes the database, the key, the stand-ins' world and the dashboard`],
    ['Start to ready, again', result(again), `median of ${STARTS}, on the data of the first`],
  ];
}

function memoryRow(what, program) {
  const memory = program.memory();
  return [`Memory, ${what}`, mebibytes(memory?.resident), `resident; ${mebibytes(memory?.own)} of it not mapped from files`];
}

/** One program: idle, warm, under queries, under deliveries. */
async function underLoad() {
  const program = await startProgram();
  try {
    await new Promise((later) => setTimeout(later, 3_000));
    const memory = [memoryRow('idle after the start', program)];
    const length = await warmUp(program);
    await new Promise((later) => setTimeout(later, 1_000));
    memory.push(memoryRow('after the dashboard query', program));
    say('the dashboard query beside a static response');
    const throughput = await measureThroughput(program, { length, rounds: 5, seconds: quick ? 1 : 4 });
    memory.push(memoryRow('after the requests below', program));
    say(`${count} deliveries one at a time, ${count} at ${rate} a second`);
    const deliveries = await measureDeliveries(program, { count, rate });
    memory.push(memoryRow('after the deliveries too', program));
    return [...memory, ...throughput, ...deliveries];
  } finally {
    await program.stop();
  }
}

function binary() {
  const { stdout } = spawnSync(process.env.MULLION_BIN, ['--version'], { encoding: 'utf8' });
  return ['Size of the binary', mebibytes(statSync(process.env.MULLION_BIN).size), `${stdout.trim()}, \`${process.env.MULLION_BIN.split('/').slice(-2).join('/')}\``];
}

say('starts');
const starts = await startUp();
const load = await underLoad();
say('provider calls');
const rows = [binary(), ...starts, ...load, ...await measureCalls()];
console.log(`${cpus()[0].model}, ${availableParallelism()} processors, Node ${process.versions.node}, SQLite, \`mullion dev --traffic off\` with its stand-ins in the same process\n`);
console.log(table(rows));
process.exit(0);
