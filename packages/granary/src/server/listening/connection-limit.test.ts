import { once } from 'node:events';
import { connect } from 'node:net';
import { loggerFor } from '@granary/telemetry';
import { Server } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { listenGrpc } from './grpc-listener.js';
import { type HttpListenerOptions, listenHttp } from './http-listener.js';
import type { Listener } from './listener.js';

let listener: Listener;
afterEach(() => listener.destroy());

/** For both protocols. */
const options: HttpListenerOptions = {
  key: 'listen.here',
  address: { host: '127.0.0.1', port: 0 },
  tls: undefined,
  clientAuth: 'none',
  maxConnections: 1,
  handshakeTimeoutMs: 60_000,
  maxHeaderBytes: 16_384,
  headersTimeoutMs: 60_000,
  requestTimeoutMs: 0,
  idleTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  handle: () => {},
};

describe('connections beyond the limit', () => {
  it.each([
    ['HTTP', listenHttp],
    ['gRPC', (all: HttpListenerOptions) => listenGrpc(new Server(), all)],
  ])('are closed and counted, and the log says why, once (%s)', async (_, listen) => {
    const said: string[] = [];
    const logger = loggerFor({ write: ({ level, message }) => void said.push(`${level}: ${message}`) });
    let refused = 0;
    listener = await listen({ ...options, logger, onConnectionRefused: () => refused++ });
    const open = () => connect(listener.address.port, '127.0.0.1').on('error', () => {});
    const first = open();
    await once(first, 'connect');
    for (let i = 0; i < 3; i++) await once(open().resume(), 'close');
    expect(said).toEqual([
      'warning: listen.here refuses connections: 1 are open, and limits.max_connections allows no more',
    ]);
    expect(refused).toBe(3);
    first.destroy();
  });
});
