import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskBlobStore } from '@granary/blobs';
import { MemoryLayer } from '@granary/cache';
import { SourceRepository } from '@granary/nuget';
import {
  createNuGetHandler,
  FeedAccessError,
  type Kept,
  MergedFeed,
  PackageStore,
  UpstreamFeed,
  upstreamSourceOptions,
} from '@granary/nuget-proxy';

export interface ProxyOptions {
  readonly upstream: string;
  readonly apiKey?: string;
  readonly users?: Readonly<Record<string, string>>;
}

export async function startProxy({ upstream: sourceUrl, apiKey, users }: ProxyOptions) {
  const directory = mkdtempSync(join(tmpdir(), 'granary-proxy-'));
  const blobs = await DiskBlobStore.open({ directory, maxBytes: 1e9, housekeepingMs: 0 });
  const { actionResults, incomingDirectory } = blobs;
  const packages = new PackageStore({ blobs, actionResults, incomingDirectory });
  const upstream = new SourceRepository({ name: 'up', sourceUrl, ...upstreamSourceOptions });
  const up = new UpstreamFeed({
    name: 'up',
    upstream,
    packages,
    layers: [new MemoryLayer<Kept>({ maxEntries: 1000 })],
    apiKey,
    restMs: 100,
  });
  const all = new MergedFeed({ sources: [up], pushTo: up });
  const known = Object.entries(users ?? {}).map(
    ([name, password]) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
  );
  const handle = createNuGetHandler({
    feeds: { all, bySource: new Map([['up', up]]) },
    incomingDirectory: join(directory, 'pushed'),
    hooks: {
      authorize: ({ authorization }) => {
        if (users === undefined || known.includes(authorization ?? '')) return 'somebody';
        throw new FeedAccessError('UNAUTHENTICATED', 'who are you?');
      },
    },
  });
  const server = createServer(handle).on('checkContinue', handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/nuget`,
    async stop() {
      server.close();
      server.closeAllConnections();
      await all.close();
      await upstream.close();
      await packages.close();
      await blobs.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
