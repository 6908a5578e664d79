import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

/** What becomes of bytes on their way. */
type ProxyMode = 'pass' | 'swallow' | { readonly delayMs: number };

export interface TcpProxy {
  readonly port: number;
  /** How many connections were made. */
  readonly connections: number;
  /** For bytes that come from now on, in both directions. */
  mode: ProxyMode;
  /** Resets all connections. */
  reset(): void;
  close(): Promise<void>;
}

/** A network between a client and a server on loopback, with the faults that networks have. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    proxy.connections++;
    const upstream = createConnection({ port: targetPort, host: '127.0.0.1' });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => pass(bytes, to));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  function pass(bytes: Buffer, to: Socket): void {
    const { mode } = proxy;
    if (mode === 'swallow') return;
    if (mode === 'pass') to.write(bytes);
    else setTimeout(() => to.write(bytes), mode.delayMs);
  }

  const proxy = {
    port: (server.address() as AddressInfo).port,
    connections: 0,
    mode: 'pass' as ProxyMode,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: async () => {
      server.close();
      proxy.reset();
      await once(server, 'close');
    },
  };
  return proxy;
}
