// docs/examples: each client runs as a user runs it, shows what happens, and resumes after the server restarts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT, startDev, temporaryFolder, until } from './harness.mjs';

const EXAMPLES = join(ROOT, 'docs/examples');
const json = (...path) => JSON.parse(readFileSync(join(ROOT, ...path), 'utf8'));

let dev;
let folder;
const running = new Set();

before(async () => {
  dev = await startDev();
  folder = temporaryFolder();
  cpSync(EXAMPLES, folder, { recursive: true, filter: (path) => !path.includes('node_modules') });
  symlinkSync(join(ROOT, 'tests/clients/node_modules'), join(folder, 'node_modules'));
});
/** Each has a process group of its own, which does not end with this process. */
const killAll = () => { for (const child of running) process.kill(-child.pid, 'SIGKILL'); };
process.once('exit', killAll);
after(async () => {
  killAll();
  await dev?.stop();
});

/** Starts an example in its folder. `output()` is what it printed. */
function run(command, ...args) {
  const child = spawn(command, args, { cwd: folder, detached: true, env: { ...process.env, MULLION_URL: dev.graphqlUrl, MULLION_KEY: '' } });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  const ended = new Promise((done) => child.once('close', done));
  ended.then(() => running.delete(child));
  return {
    output: () => output,
    shows: (text) => until(() => output.includes(text), () => `${text} from ${command} ${args.join(' ')}:\n${output}`),
    async stop() {
      if (running.has(child)) process.kill(-child.pid, 'SIGKILL');
      await ended;
    },
  };
}

const act = (title) => dev.act('github', 'open_issue', { repository: 'acme/web', title });
/** Waits until the example has a subscription: whatever happens later, it is told. */
const subscribed = async (count) => {
  const open = async () => {
    const text = await (await fetch(`${dev.url}/metrics`)).text();
    return [...text.matchAll(/^mullion_open_sockets\{[^}]*\} (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  await until(async () => await open() === count, `${count} subscriptions`);
};

describe('docs/examples', () => {
  test('the versions of its packages are those that are tested', () => {
    const tested = json('tests/clients/package.json').devDependencies;
    const { dependencies } = json('docs/examples/package.json');
    for (const [name, version] of Object.entries(dependencies)) assert.equal(version, tested[name], name);
    const imported = readdirSync(EXAMPLES).filter((name) => name.endsWith('.mjs')).flatMap((name) => [...readFileSync(join(EXAMPLES, name), 'utf8').matchAll(/(?:from|import\() ?'((?:@[^/']+\/)?[^/']+)/g)].map(([, each]) => each));
    for (const name of imported) assert.ok(dependencies[name], `${name} is missing in docs/examples/package.json`);
  });

  for (const [name, ...command] of [
    ['live.mjs', process.execPath, 'live.mjs'],
    ['apollo.mjs', process.execPath, 'apollo.mjs'],
    ['urql.mjs', process.execPath, 'urql.mjs'],
    ['curl.sh', './curl.sh'],
  ]) {
    test(`${name} shows what happens, also what happens around a restart of the server`, async () => {
      const example = run(...command);
      await subscribed(1);
      await act(`${name} one`);
      await example.shows(`${name} one`);
      await dev.restart();
      await act(`${name} two`);
      await example.shows(`${name} two`);
      await subscribed(1);
      await example.stop();
      await subscribed(0);
    });
  }

  test('curl.sh resumes after the last activity that it printed', async () => {
    await act('while it is away');
    const example = run('./curl.sh');
    await example.shows('while it is away');
    assert.ok(!example.output().includes('curl.sh two'), example.output());
    await example.stop();
  });

  test('each file has its line in the table', () => {
    const table = readFileSync(join(EXAMPLES, 'README.md'), 'utf8');
    for (const file of readdirSync(EXAMPLES)) if (/\.(mjs|sh)$/.test(file)) assert.ok(table.includes(`| [${file}](${file}) |`), file);
  });
});
