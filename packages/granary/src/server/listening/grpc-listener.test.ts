import { once } from 'node:events';
import { connect } from 'node:net';
import { Server } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { listenGrpc } from './grpc-listener.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\0\x04\0\0\0\0\0';

describe('a gRPC listener that is drained', () => {
  it.each([
    ['has sent nothing', ''],
    ['has sent half a preface', PREFACE.slice(0, 8)],
    ['makes no call', PREFACE + SETTINGS],
  ])('does not wait for a client that %s and closes nothing', async (_, sent) => {
    const listener = await listenGrpc(new Server(), {
      key: 'listen.grpc',
      address: { host: '127.0.0.1', port: 0 },
      tls: undefined,
      clientAuth: 'none',
      maxConnections: 10,
      handshakeTimeoutMs: 3_600_000,
      lingerMs: 1,
    });
    const client = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {});
    client.write(sent);
    // The settings of the server: it has taken the connection.
    await once(client, 'data');
    await listener.drain();
    client.destroy();
    expect(client.bytesRead).toBeGreaterThan(0);
  });
});
