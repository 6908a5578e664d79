import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give away by themselves, to whoever else asks in between; each process begins elsewhere. */
let next = randomInt(10_000, 30_000);
const END = 32_768;

/** A port of loopback that nothing listens on, and that nothing gets unless it asks for it by its number. */
export async function freePort(): Promise<number> {
  while (next < END) {
    const port = next++;
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error('no port is free');
}
