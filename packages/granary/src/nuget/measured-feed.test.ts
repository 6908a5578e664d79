import { Readable } from 'node:stream';
import { NuGetVersion, type PackageIdentity } from '@granary/nuget';
import type { FeedContent, PackageContent } from '@granary/nuget-proxy';
import { MetricRegistry } from '@granary/telemetry';
import { describe, expect, it } from 'vitest';
import { MeasuredFeed } from './measured-feed.js';
import { NuGetMetrics } from './nuget-metrics.js';

const identity: PackageIdentity = { id: 'A', version: NuGetVersion.parse('1.0.0') };
const CHUNKS = [60, 40];

/** A package of 100 bytes that was here, in two chunks. */
function content(size: number | undefined, late: boolean): PackageContent {
  return {
    size,
    etag: undefined,
    lastModified: undefined,
    state: 'hit',
    open: () =>
      Readable.from(
        CHUNKS.map((length) => Buffer.alloc(length)),
        { objectMode: false },
      ),
    read: () => {
      const chunks = CHUNKS.map((length) => Buffer.alloc(length));
      return { next: () => (late ? Promise.resolve(chunks.shift()) : chunks.shift()), close: async () => {} };
    },
    release: () => {},
  };
}

async function measured(given: PackageContent) {
  const counters = new NuGetMetrics(new MetricRegistry()).forSource('up');
  const inner = { name: 'up', package: async () => given } as Partial<FeedContent> as FeedContent;
  const feed = new MeasuredFeed(inner, counters, { takesPackages: false, isOwnKey: () => false, caches: {} });
  return { counters, found: (await feed.package(identity)) as PackageContent };
}

describe('the bytes that a source was spared', () => {
  it.each([
    ['at once', 100, false],
    ['later', 100, true],
    ['of a package whose size is not known yet', undefined, true],
  ])('are those that were read: %s', async (_, size, late) => {
    const { counters, found } = await measured(content(size, late));
    expect(counters.savedBytes).toBe(0);
    const reader = found.read?.();
    await reader?.next();
    expect(counters.savedBytes).toBe(60);
    while ((await reader?.next()) !== undefined);
    expect(counters.savedBytes).toBe(100);
  });

  it('are not those that a client who left has not got', async () => {
    const { counters, found } = await measured(content(100, true));
    const reader = found.read?.();
    await reader?.next();
    await reader?.close();
    expect(counters.savedBytes).toBe(60);
  });

  it('are counted of streams, too', async () => {
    const { counters, found } = await measured(content(100, true));
    expect(Buffer.concat(await found.open().toArray())).toHaveLength(100);
    expect(counters.savedBytes).toBe(100);
  });
});
