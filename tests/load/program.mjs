// The program that is measured: starting it, and what the system says of its process.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { control, freePorts, query, temporaryFolder } from '../clients/harness.mjs';

const BINARY = process.env.MULLION_BIN;
/** The kernel's ticks in a second, as user programs are told. */
const TICKS = 100;
/** The binary refuses settings of its prefix that it does not know. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MULLION_') && name !== 'DATABASE_URL'));

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

/** `mullion dev --traffic off` on free ports; its data is in `folder`, its log in a file there, so that nobody has to read it meanwhile. */
export async function startProgram(folder = temporaryFolder(), { binary = BINARY, settings = {} } = {}) {
  const [port, sandboxPort] = await freePorts(2);
  const logFile = join(folder, 'load.log');
  const log = openSync(logFile, 'a');
  const begin = performance.now();
  const child = spawn(binary, ['dev', '--traffic', 'off', '--data', join(folder, 'data'), '--port', String(port), '--sandbox-port', String(sandboxPort)], { stdio: ['ignore', log, log], env: { ...ENVIRONMENT, ...settings } });
  closeSync(log);
  running.add(child);
  const ended = new Promise((done) => child.once('close', done).once('error', done)).then(() => running.delete(child));
  const url = `http://127.0.0.1:${port}`;
  await ready(`${url}/health/ready`, child, logFile);
  const sandbox = `http://127.0.0.1:${sandboxPort}`;
  return {
    url,
    port,
    folder,
    sandbox,
    /** From the start of the process to the first 200 of its readiness, in milliseconds. */
    readyAfter: performance.now() - begin,
    ...control(sandbox),
    memory: () => memory(child.pid),
    cpu: () => cpu(child.pid),
    query: (document, variables) => query(`${url}/graphql`, document, variables),
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(late);
    },
  };
}

async function ready(url, child, logFile) {
  const deadline = performance.now() + 60_000;
  while ((await fetch(url).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) throw new Error(`the program did not get ready:\n${readFileSync(logFile, 'utf8').slice(-2_000)}`);
    await new Promise((later) => setTimeout(later, 2));
  }
}

/** Resident memory in bytes, `own` without what is mapped from files; undefined where the system does not tell. */
function memory(pid) {
  const status = told(`/proc/${pid}/status`);
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return status && { resident: field('VmRSS'), own: field('RssAnon') };
}

/** Seconds of processor time so far; undefined where the system does not tell. */
function cpu(pid) {
  const fields = told(`/proc/${pid}/stat`)?.split(') ').pop().split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function told(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
