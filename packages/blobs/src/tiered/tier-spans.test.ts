import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlobReader } from '../blob-store.js';
import { withTracing } from '../decorators/traced-store.js';
import { MemoryActionResultStore } from '../memory/memory-action-result-store.js';
import { blobOf } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { resilientTier } from './resilience/resilient-tier.js';
import { TierBreaker } from './resilience/tier-breaker.js';
import type { Tier } from './tier.js';
import { TieredActionResultStore } from './tiered-action-result-store.js';
import { TieredBlobStore } from './tiered-blob-store.js';

const large = blobOf(300_000, 'large');
const small = blobOf(1000, 'small');

const stores = new TemporaryStores();
const opened: { close(): unknown }[] = [];
let tracer: RecordingTracer;
beforeEach(() => {
  tracer = new RecordingTracer();
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await stores.dispose();
});

function tierOf(name: string, blobs = new ScriptedStore({ name, maxBytes: 2 ** 20 })) {
  const actionResults = new MemoryActionResultStore();
  const close = () => blobs.close();
  return { name, mode: 'read-through', required: false, blobs, actionResults, check: async () => {}, close } as const;
}

async function tieredOver(tiers: readonly Tier[]) {
  const local = await stores.open({ durability: 'none', maxBytes: 2 ** 24 });
  const store = new TieredBlobStore({ local, tiers, tracer });
  opened.push(store);
  return store;
}

const tracedOver = async (tiers: readonly Tier[]) => withTracing(await tieredOver(tiers), tracer);

async function drain(reader: BlobReader | undefined): Promise<number> {
  let bytes = 0;
  for await (const chunk of reader!) bytes += chunk.length;
  return bytes;
}

describe('the span of a fetch from a tier', () => {
  it('says what was asked of whom and what came of it, as the client of another server', async () => {
    const tier = tierOf('far');
    for (const { digest, bytes } of [large, small]) await tier.blobs.write(digest, bytes);
    const store = await tracedOver([tier]);
    const request = tracer.startSpan('request');
    expect(await drain(await store.read(large.digest, { span: request }))).toBe(large.bytes.length);
    expect(await store.get(small.digest, { span: request })).toEqual(small.bytes);
    expect(await store.get(blobOf(10, 'nobody has it').digest, { span: request })).toBeUndefined();
    const fetches = tracer.named('proxy.Get.RemoteFetch');
    expect(fetches.map(({ attributes }) => attributes)).toEqual(
      [large.digest, small.digest, blobOf(10, 'nobody has it').digest].map((digest, i) =>
        expect.objectContaining({
          'cache.tier': 'far',
          'cache.digest': String(digest),
          'cache.size': digest.size,
          'cache.hit': i < 2,
        }),
      ),
    );
    expect(new Set(fetches.map(({ kind }) => kind))).toEqual(new Set(['client']));
    expect(fetches.every(({ ended, status }) => ended && status === 'unset')).toBe(true);
    // What is asked of the other server is part of it.
    const asked = tier.blobs.calls.filter(({ call }) => call === 'get' || call === 'read');
    expect(asked.map(({ options }) => (options as { span?: { spanId: string } }).span?.spanId)).toEqual(
      expect.arrayContaining(fetches.map(({ spanId }) => spanId)),
    );
  });

  it('is one for each tier that is asked, in error for one that fails', async () => {
    const [first, second] = [tierOf('first'), tierOf('second')];
    first.blobs.before = () => Promise.reject(first.blobs.gone());
    await second.blobs.write(large.digest, large.bytes);
    const store = await tracedOver([first, second]);
    const request = tracer.startSpan('request');
    expect(await drain(await store.read(large.digest, { span: request }))).toBe(large.bytes.length);
    expect(
      tracer.named('proxy.Get.RemoteFetch').map(({ attributes, status }) => [attributes['cache.tier'], status]),
    ).toEqual([
      ['first', 'error'],
      ['second', 'unset'],
    ]);
  });

  it('says that the tier was not asked because its breaker is open', async () => {
    const breaker = new TierBreaker({ maxFailures: 1, timeoutMs: 60_000 });
    breaker.recordFailure();
    const store = await tracedOver([resilientTier(tierOf('far'), { breaker })]);
    const request = tracer.startSpan('request');
    expect(await store.read(large.digest, { span: request })).toBeUndefined();
    expect(tracer.only('proxy.Get.RemoteFetch')).toMatchObject({
      status: 'error',
      events: [{ name: 'circuit_breaker.rejected', attributes: { 'cache.tier': 'far' } }],
    });
  });

  it('is one for action results, too', async () => {
    const tier = tierOf('far');
    await tier.actionResults.set('key', Buffer.from('value'));
    const results = new TieredActionResultStore({
      local: new MemoryActionResultStore(),
      tiers: [tier],
      blobs: await tieredOver([tier]),
      referencesOf: () => [],
      tracer,
    });
    opened.push(results);
    const request = tracer.startSpan('request');
    expect(String(await results.get('key', { span: request }))).toBe('value');
    expect(tracer.only('proxy.GetActionResult.RemoteFetch')).toMatchObject({
      kind: 'client',
      parentId: request.spanId,
      attributes: { 'cache.tier': 'far', 'cache.hit': true },
    });
  });
});
