import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give away by themselves, to whoever else asks in between. */
const FIRST = 10_000;
const END = 32_768;

const given = new Set<number>();

/**
 * A port of loopback that nothing listens on, and that nothing gets unless it asks for it by its number. Each is drawn anew: of
 * two processes that count upwards and meet once, each would be given the other's ports from there on.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = randomInt(FIRST, END);
    if (given.has(port)) continue;
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    given.add(port);
    return port;
  }
  throw new Error('no port is free');
}
