import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatAddress } from '../config/address.js';
import { configFrom } from '../config/load.js';
import type { RunningServer } from '../server/running-server.js';
import { type ServerDependencies, startServer } from '../server/start-server.js';

/** Path of a certificate or key of the tests. */
export function certificate(name: string): string {
  return fileURLToPath(new URL(`./certificates/${name}`, import.meta.url));
}

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'granary-'));
}

export interface TestServer extends AsyncDisposable {
  readonly server: RunningServer;
  /** `HOST:PORT` of a listener. */
  address(key: 'listen.grpc' | 'listen.http' | 'listen.admin' | 'telemetry.metrics_addr'): string;
}

/** A server on free ports of loopback with a small store, which goes with the server unless `storage.dir` is given. */
export async function startTestServer(
  values: Readonly<Record<string, unknown>> = {},
  dependencies: ServerDependencies = {},
): Promise<TestServer> {
  const folder = 'storage.dir' in values ? undefined : await temporaryFolder();
  const removeFolder = async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  const config = configFrom({
    'listen.grpc': '127.0.0.1:0',
    'listen.http': '127.0.0.1:0',
    'listen.admin': '127.0.0.1:0',
    ...(folder !== undefined && { 'storage.dir': folder }),
    'storage.max_size': '64MiB',
    'storage.min_free': '0',
    ...values,
  });
  const server = await startServer(config, dependencies).catch(async (error: unknown) => {
    await removeFolder();
    throw error;
  });
  return {
    server,
    address(key) {
      const listener = server.listeners.find((candidate) => candidate.key === key);
      if (!listener) throw new Error(`${key} does not listen`);
      return formatAddress(listener.address);
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await removeFolder();
    },
  };
}
