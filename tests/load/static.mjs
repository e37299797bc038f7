// The answer that the dashboard query is compared with: the console's asset that is nearest in size, served by the same process.
import { createServer } from 'node:http';

/** How far its size may be off. */
const LIKE = 0.25;
/** How many names are tried at most. */
const MANY = 200;

/** `{ port, path, length, from }`: an asset of the program, or where none is of that size, a small server in this process. */
export async function staticResponse(program, length) {
  const assets = await consoleAssets(program);
  const [nearest] = assets.sort((one, other) => Math.abs(one.length - length) - Math.abs(other.length - length));
  if (nearest && Math.abs(nearest.length - length) <= LIKE * length) return { port: program.port, ...nearest, from: 'the same process', own: true, stop: () => {} };
  const body = Buffer.alloc(length, 'x');
  const server = createServer((_, answer) => answer.writeHead(200, { 'content-length': length }).end(body));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { port: server.address().port, path: '/', length, from: 'a server in Node (the binary has no asset of that size)', own: false, stop: () => { server.close(); server.closeAllConnections(); } };
}

/** The page's assets and those that their names lead to. */
async function consoleAssets(program) {
  const read = async (path) => {
    const response = await fetch(`${program.url}${path}`, { headers: { 'accept-encoding': 'identity', accept: '*/*' } });
    return response.ok ? response.text() : '';
  };
  const waiting = [...(await read('/')).matchAll(/"(\/console\/[\w.-]+)"/g)].map(([, path]) => path);
  const known = new Set(waiting);
  const assets = [];
  while (waiting.length > 0) {
    const path = waiting.shift();
    const text = await read(path);
    if (text) assets.push({ path, length: Buffer.byteLength(text) });
    if (!path.endsWith('.js')) continue;
    for (const [, name] of text.matchAll(/["/]([\w.]+-[A-Z0-9]{8}\.(?:js|css|svg))"/g)) {
      const found = `/console/${name}`;
      if (known.has(found) || known.size >= MANY) continue;
      known.add(found);
      waiting.push(found);
    }
  }
  return assets;
}
