// Shared by the tests: starting the binary, its control API, GraphQL over HTTP, a target for webhooks.
//
//   MULLION_BIN         the binary; default target/debug/mullion, then target/release/mullion (or under CARGO_TARGET_DIR)
//   MULLION_TEST_LONG   1: the long form of the tests that have one
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
/** How long anything may take that a test waits for. */
export const PATIENCE = Number(process.env.MULLION_TEST_PATIENCE ?? 20_000);
/** Whether tests that have a long form take it: `tests/run --long`. */
export const LONG = process.env.MULLION_TEST_LONG === '1';
/** Fixed in dev mode. */
export const DEV_SECRET = 'mullion-dev-secret';

/** Without our own settings: the binary refuses those of its prefix that it does not know. */
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MULLION_') && name !== 'DATABASE_URL'));

const children = new Set();
const folders = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** The binary under test. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const found = [process.env.MULLION_BIN, join(target, 'debug/mullion'), join(target, 'release/mullion')].find((path) => path && existsSync(path));
  assert.ok(found, 'no mullion binary: build it (`cargo build -p mullion-gateway`) or set MULLION_BIN');
  return found;
}

/** A folder that is gone at the end. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'mullion-'));
  folders.add(folder);
  return folder;
}

/** Ports that were free a moment ago. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((listening, failed) => {
    const server = createTcpServer().once('error', failed);
    server.listen(0, '127.0.0.1', () => listening(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

/** Waits until `condition` gives something truthy, and gives that. */
export async function until(condition, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`in vain: ${typeof what === 'function' ? await what() : what}`);
    await new Promise((later) => setTimeout(later, 15));
  }
}

/** `mullion sandbox`: only the stand-ins. */
export async function startSandbox() {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const program = await start(['sandbox', '--port', String(port), '--data', temporaryFolder()], `${url}/_sandbox`);
  return { ...program, url, ...control(url) };
}

/** `mullion dev --traffic off`: everything. `restart()` starts it again on the same data and ports. `under` is what runs it. */
export async function startDev({ args = [], env = {}, under = [] } = {}) {
  const [port, sandboxPort] = await freePorts(2);
  const data = temporaryFolder();
  const url = `http://127.0.0.1:${port}`;
  const sandbox = `http://127.0.0.1:${sandboxPort}`;
  const line = ['dev', '--data', data, '--port', String(port), '--sandbox-port', String(sandboxPort), '--traffic', 'off', ...args];
  let program = await start(line, `${url}/health/ready`, env, under);
  return {
    url,
    data,
    sandbox,
    graphqlUrl: `${url}/graphql`,
    streamUrl: `${url}/graphql/stream`,
    socketUrl: `${url.replace('http', 'ws')}/graphql`,
    ...control(sandbox),
    query: (document, variables, headers) => query(`${url}/graphql`, document, variables, headers),
    logs: () => program.logs(),
    alive: () => program.child.exitCode === null && program.child.signalCode === null,
    stop: () => program.stop(),
    signal: (name) => program.child.kill(name),
    exitCode: () => program.child.exitCode,
    /** Ends it as a power cut would; `restart()` starts it again. */
    kill: () => program.kill(),
    async restart() {
      await program.stop();
      program = await start(line, `${url}/health/ready`, env);
    },
  };
}

/** `mullion serve` on a folder of its own; `key(tenant, role)` makes an API key, `as(key)` asks with it. `under` is what runs it, `executable` another binary. */
export async function startServe({ env = {}, under = [], executable } = {}) {
  const [port, adminPort] = await freePorts(2);
  const folder = temporaryFolder();
  const url = `http://127.0.0.1:${port}`;
  const admin = `http://127.0.0.1:${adminPort}`;
  const encryption = run(['key', 'generate']).trim();
  const settings = { MULLION_DATA: folder, MULLION_PORT: String(port), MULLION_SERVER_ADMIN_ADDRESS: `127.0.0.1:${adminPort}`, MULLION_PUBLIC_URL: url, MULLION_ENCRYPTION_KEY: encryption, ...env };
  let program = await start(['serve'], `${admin}/health/ready`, settings, under, executable);
  return {
    url,
    admin,
    folder,
    settings,
    graphqlUrl: `${url}/graphql`,
    socketUrl: `${url.replace('http', 'ws')}/graphql`,
    key: (tenant, role, name = role) => run(['key', 'create', '--tenant', tenant, '--name', name, '--role', role], settings).trim(),
    keys: () => run(['key', 'list'], settings).trim().split('\n').filter(Boolean),
    revoke: (id) => run(['key', 'revoke', id], settings),
    as: (key) => (document, variables) => query(`${url}/graphql`, document, variables, { authorization: `Bearer ${key}` }),
    logs: () => program.logs(),
    exitCode: () => program.child.exitCode,
    signal: (name) => program.child.kill(name),
    ended: () => program.ended,
    stop: () => program.stop(),
    /** Ends it as a power cut would; `restart()` starts it again. */
    kill: () => program.kill(),
    /** Starts it, and ends it as a power cut would so many milliseconds later, ready or not. */
    async interruptedStart(milliseconds) {
      const child = spawn(binary(), ['serve'], { stdio: 'ignore', env: { ...clean, ...settings } });
      children.add(child);
      const ended = new Promise((done) => child.once('close', done).once('error', done));
      await new Promise((later) => setTimeout(later, milliseconds));
      child.kill('SIGKILL');
      await ended;
      children.delete(child);
    },
    async restart() {
      await program.stop();
      program = await start(['serve'], `${admin}/health/ready`, settings);
    },
  };
}

/** Runs the binary to its end, however that is. */
export function attempt(args, env = {}) {
  const { status, signal, stdout, stderr } = spawnSync(binary(), args, { env: { ...clean, ...env }, encoding: 'utf8', maxBuffer: 64 << 20, timeout: PATIENCE, cwd: tmpdir() });
  return { status, signal, stdout, stderr };
}

/** Runs the binary to its end, which must be good. */
export function run(args, env) {
  const { status, stdout, stderr } = attempt(args, env);
  assert.equal(status, 0, `mullion ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Starts the binary and waits until `readyUrl` answers 200. */
async function start(args, readyUrl, env = {}, under = [], executable = binary()) {
  const [program, ...line] = [...under, executable, ...args];
  const child = spawn(program, line, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...clean, ...env } });
  children.add(child);
  let logs = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { logs = (logs + text).slice(-200_000); });
  const ended = new Promise((done) => child.once('close', done).once('error', done));
  const over = () => child.exitCode !== null || child.signalCode !== null;
  await until(async () => {
    if (over()) assert.fail(`mullion ${args.join(' ')} ended with ${child.exitCode ?? child.signalCode}:\n${logs}`);
    return (await fetch(readyUrl).catch(() => undefined))?.status === 200;
  }, () => `${readyUrl} did not answer 200:\n${logs}`, 60_000);
  const stop = async () => {
    if (!over()) {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(late);
    }
    children.delete(child);
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
    children.delete(child);
  };
  return { child, stop, kill, ended, logs: () => logs };
}

/** The control API of a sandbox port. */
export function control(sandbox) {
  const send = async (method, path, body) => {
    const response = await fetch(`${sandbox}/_sandbox${path}`, { method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  return {
    /** Acts in a provider's world, and waits until its webhooks were answered. */
    async act(provider, action, input = {}) {
      const { result, deliveries } = await send('POST', `/${provider}/${action}?wait=true`, input);
      return { result, deliveries };
    },
    stats: () => send('GET', '/stats'),
    resetStats: () => send('POST', '/stats/reset', {}),
    fault: (fault) => send('POST', '/faults', fault),
    clearFaults: () => send('DELETE', '/faults'),
    recorded: async (provider) => (await send('GET', `/${provider}/recorded`)).recorded,
    /** As if a webhook were set up in the provider's web pages. */
    addWebhook: (provider, url, secret) => send('POST', `/${provider}/webhooks`, { url, secret }),
  };
}

/** One GraphQL request over HTTP: `{ data, errors, extensions }`. */
export async function query(url, document, variables, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json', ...headers },
    body: JSON.stringify({ query: document, variables }),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return assert.fail(`${response.status} without JSON: ${text.slice(0, 500)}`);
  }
}

/** The data of an answer that must have no errors. */
export function data(answer) {
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

/** An HTTP server that keeps what it is sent; `answer(request)` may give `{ status, headers, body }`. */
export async function startReceiver(answer = () => ({})) {
  const requests = [];
  const server = createServer((incoming, outgoing) => {
    const chunks = [];
    incoming.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      const request = { method: incoming.method, path: incoming.url, headers: incoming.headers, body: Buffer.concat(chunks).toString('utf8') };
      const { status = 200, headers = {}, body = '' } = answer(request);
      outgoing.writeHead(status, headers).end(body);
      requests.push(request);
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    requests,
    url: `http://127.0.0.1:${server.address().port}`,
    next: (wanted, what) => until(() => requests.find(wanted), what),
    stop: () => new Promise((closed) => { server.close(closed); server.closeAllConnections(); }),
  };
}
