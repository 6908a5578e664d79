import type { Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';

/**
 * Ends a connection whose answers can't be read. ioredis reads them in an event of the socket, where what its parser throws
 * at would end the process: a list that is longer than lists can be, or lists in lists without end, from whatever it is that
 * answers there. Those of a client that isn't made by ioredis itself are left alone.
 */
export function guardConnections(client: unknown): void {
  if (client instanceof Cluster) client.on('+node', guardConnections);
  else if (client instanceof Redis) client.on('connect', () => guard(client.stream));
}

function guard(stream: Socket): void {
  // That of ioredis is put before all others, and is there when it says that it is connected.
  const read = stream.listeners('data')[0] as ((chunk: Buffer) => void) | undefined;
  if (read === undefined) return;
  stream.off('data', read);
  stream.prependListener('data', (chunk) => {
    try {
      read.call(stream, chunk);
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
}
