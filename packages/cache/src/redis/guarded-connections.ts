import type { Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import { refuseOddSlots } from './answered-slots.js';

/**
 * Ends a connection whose answers can't be read. ioredis reads them in an event of the socket, where what its parser throws
 * at would end the process: a list that is longer than lists can be, or lists in lists without end, from whatever it is that
 * answers there. Those of a client that isn't made by ioredis itself are left alone.
 */
export function guardConnections(client: unknown): void {
  if (client instanceof Cluster) guardCluster(client);
  else if (client instanceof Redis) client.on('connect', () => guard(client.stream));
}

/** What ioredis has around the connection that a cluster listens to messages on. */
interface Subscriber {
  selectSubscriber(): void;
  getInstance(): unknown;
}

/**
 * Beside that of each node there is one that asks it who has which slots, made anew for each time, and one for messages. Of
 * the latter ioredis doesn't tell, so this looks for it; where it doesn't find it, that one is as ioredis has it.
 */
function guardCluster(cluster: Cluster): void {
  cluster.on('+node', (node: Redis) => {
    guardConnections(node);
    const { duplicate } = node;
    node.duplicate = (...args) => {
      const asking = Reflect.apply(duplicate, node, args);
      guardConnections(asking);
      refuseOddSlots(asking);
      return asking;
    };
  });
  const { subscriber } = cluster as unknown as { readonly subscriber?: Subscriber };
  if (typeof subscriber?.selectSubscriber !== 'function') return;
  const { selectSubscriber } = subscriber;
  subscriber.selectSubscriber = () => {
    Reflect.apply(selectSubscriber, subscriber, []);
    guardConnections(subscriber.getInstance());
  };
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
