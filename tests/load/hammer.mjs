// A thread that sends requests over several keep-alive connections for some time, and counts the answers.
import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { openConnection, post } from './connection.mjs';
import { sized } from './documents.mjs';

const { connections, seconds } = workerData;

parentPort.on('message', async ({ port, bytes, from, least }) => {
  let number = from;
  /** The same bytes, or each time a request that was not sent before. */
  const next = () => bytes ?? post(sized(number++));
  const open = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  const counted = { answers: 0, received: 0, failures: 0, times: [] };
  const start = performance.now();
  const end = start + seconds * 1_000;
  await Promise.all(open.map((connection) => new Promise((done) => {
    const again = () => {
      const begin = performance.now();
      if (begin >= end) return done();
      connection.send(next(), (failure, answer) => {
        // A short answer is one with errors in place of data.
        if (failure || answer.status !== 200 || answer.length < least) counted.failures += 1;
        else {
          counted.answers += 1;
          counted.received += answer.length;
          counted.times.push(performance.now() - begin);
        }
        if (failure) done();
        else again();
      });
    };
    again();
  })));
  // Requests under way at the end were waited for, and count.
  counted.rate = counted.answers / ((performance.now() - start) / 1_000);
  for (const connection of open) connection.close();
  parentPort.postMessage(counted);
});
