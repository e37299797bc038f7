// Several replicas over one PostgreSQL and one NATS: a database of their own, a way to it that can be held up, and a NATS that can be restarted.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { attempt, freePorts, startServe, until } from './harness.mjs';

/** A new database on the server that the tests have: its URL. */
export function newDatabase() {
  const server = process.env.MULLION_TEST_POSTGRES_URL;
  assert.ok(server, 'set MULLION_TEST_POSTGRES_URL, or run tests/run, which starts a server');
  const url = new URL(server);
  const name = `clients_${randomUUID().replaceAll('-', '')}`;
  const made = spawnSync('psql', ['-v', 'ON_ERROR_STOP=1', '-c', `CREATE DATABASE ${name}`, url.href], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr || String(made.error));
  url.pathname = `/${name}`;
  return url;
}

/** A TCP way to a server that can be held up: `pause()` lets nothing through, `resume()` lets all of it through. */
export async function startWay(host, port) {
  const sockets = new Set();
  let paused = false;
  const server = createServer((near) => {
    const far = connect(port, host);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('data', (bytes) => to.write(bytes)).on('error', () => to.destroy()).on('close', () => { sockets.delete(from); to.destroy(); });
      if (paused) from.pause();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: server.address().port,
    pause() { paused = true; for (const socket of sockets) socket.pause(); },
    resume() { paused = false; for (const socket of sockets) socket.resume(); },
    stop: () => new Promise((closed) => { server.close(closed); for (const socket of sockets) socket.destroy(); }),
  };
}

/** A real NATS on a port of its own. */
export async function startNats() {
  const found = spawnSync('nats-server', ['--version'], { encoding: 'utf8' });
  assert.equal(found.status, 0, 'nats-server is not installed: on Debian, apt-get install nats-server (./tests/run does so where it may)');
  const [port] = await freePorts(1);
  let child;
  const start = async () => {
    child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
    await until(() => new Promise((done) => { const socket = connect(port, '127.0.0.1', () => { socket.destroy(); done(true); }).on('error', () => done(false)); }), 'NATS');
  };
  const stop = () => new Promise((ended) => { child.once('close', ended); child.kill('SIGKILL'); });
  process.on('exit', () => child?.kill('SIGKILL'));
  await start();
  return { url: `nats://127.0.0.1:${port}`, start, stop };
}

/** `count` replicas; `one.restart()` and `one.kill()` for each. */
export async function startReplicas(count, env) {
  const shared = { MULLION_ENCRYPTION_KEY: attempt(['key', 'generate']).stdout.trim(), ...env };
  const replicas = [];
  // One after the other: the first brings the database's schema up to date.
  for (let number = 0; number < count; number += 1) replicas.push(await startServe({ env: shared }));
  return replicas;
}
