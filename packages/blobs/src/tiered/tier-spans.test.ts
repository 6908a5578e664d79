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
import { TieredBlobStore, type TieredBlobStoreOptions } from './tiered-blob-store.js';

const large = blobOf(300_000, 'large');
const small = blobOf(1000, 'small');
const own = blobOf(1000, 'own');

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

async function tieredOver(tiers: readonly Tier[], options: Partial<TieredBlobStoreOptions> = {}) {
  const local = await stores.open({ durability: 'none', maxBytes: 2 ** 24 });
  const store = new TieredBlobStore({ local, tiers, tracer, ...options });
  opened.push(store);
  return store;
}

const tracedOver = async (tiers: readonly Tier[]) => withTracing(await tieredOver(tiers), tracer);

async function resultsOver(tier: Tier, local = new MemoryActionResultStore()) {
  const blobs = await tieredOver([tier]);
  const results = new TieredActionResultStore({ local, tiers: [tier], blobs, referencesOf: () => [], tracer });
  opened.push(results);
  return results;
}

/** Holds back what a store is asked for until it is let go. */
function hold(store: ScriptedStore): () => void {
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  store.before = (call) => (call === 'write' ? undefined : held);
  return letGo;
}

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

  it('tells all who asked for the blob or the result which tier had it', async () => {
    const tier = tierOf('far');
    for (const { digest, bytes } of [large, small]) await tier.blobs.write(digest, bytes);
    await tier.actionResults.set('key', Buffer.from('value'));
    const store = await tracedOver([tier]);
    const results = await resultsOver(tier);
    const request = tracer.startSpan('request');
    const options = { span: request };
    await Promise.all([1, 2].map(async () => drain(await store.read(large.digest, options))));
    await Promise.all([1, 2].map(() => store.get(small.digest, options)));
    await store.get(blobOf(10, 'nobody has it').digest, options);
    await store.write(own.digest, own.bytes);
    await store.get(own.digest, options);
    const tiers = tracer.named('proxy.Get').map(({ attributes }) => attributes['cache.tier']);
    expect(tiers).toEqual(['far', 'far', 'far', 'far', 'disk', 'disk']);
    await Promise.all([1, 2].map(() => results.get('key', { span: tracer.startSpan('asks for a result') })));
    const askers = tracer.named('asks for a result');
    expect(askers.map(({ attributes }) => attributes['cache.tier'])).toEqual(['far', 'far']);
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
    const results = await resultsOver(tier);
    const request = tracer.startSpan('request');
    expect(String(await results.get('key', { span: request }))).toBe('value');
    expect(tracer.only('proxy.GetActionResult.RemoteFetch')).toMatchObject({
      kind: 'client',
      parentId: request.spanId,
      attributes: { 'cache.tier': 'far', 'cache.hit': true },
    });
  });
});

describe('a request that waits for another one', () => {
  const waits = () => tracer.named('store.Wait').map(({ attributes }) => attributes['store.waits_for']);

  it.each([
    ['small', small],
    ['large', large],
  ])('shows that a %s blob was fetched for somebody else already', async (_size, { digest, bytes }) => {
    const tier = tierOf('far');
    await tier.blobs.write(digest, bytes);
    const letGo = hold(tier.blobs);
    const store = await tieredOver([tier]);
    const [first, second] = [tracer.startSpan('first'), tracer.startSpan('second')];
    const got = [store.get(digest, { span: first }), store.get(digest, { span: second })];
    await expect.poll(waits).toEqual(['singleflight']);
    expect(tracer.only('store.Wait')).toMatchObject({ parentId: second.spanId, ended: false });
    letGo();
    expect(await Promise.all(got)).toEqual([bytes, bytes]);
    expect(tracer.only('store.Wait').ended).toBe(true);
    expect(tracer.only('proxy.Get.RemoteFetch').parentId).toBe(first.spanId);
  });

  it('shows that too many blobs were arriving', async () => {
    const tier = tierOf('far');
    const other = blobOf(300_000, 'other');
    for (const { digest, bytes } of [large, other]) await tier.blobs.write(digest, bytes);
    const letGo = hold(tier.blobs);
    const store = await tieredOver([tier], { maxArrivals: 1 });
    const span = tracer.startSpan('second');
    const first = store.get(large.digest);
    const second = store.get(other.digest, { span });
    await expect.poll(waits).toEqual(['queue']);
    expect(tracer.only('store.Wait')).toMatchObject({ parentId: span.spanId, ended: false });
    letGo();
    expect([await first, await second]).toEqual([large.bytes, other.bytes]);
    expect(tracer.only('store.Wait').ended).toBe(true);
  });

  it('shows it for action results, and that somebody else wrote the same one', async () => {
    const tier = tierOf('far');
    const got: (() => void)[] = [];
    const get = () => new Promise<Buffer>((resolve) => got.push(() => resolve(Buffer.from('value'))));
    const slow = Object.assign(tier.actionResults, { get });
    const results = await resultsOver({ ...tier, actionResults: slow });
    const span = tracer.startSpan('second');
    const answers = [results.get('key'), results.get('key', { span })];
    expect(waits()).toEqual(['singleflight']);
    got[0]?.();
    expect((await Promise.all(answers)).map(String)).toEqual(['value', 'value']);
    await Promise.all([results.set('other', Buffer.from('1')), results.set('other', Buffer.from('2'), { span })]);
    expect(waits()).toEqual(['singleflight', 'lock']);
    expect(tracer.named('store.Wait').every(({ ended }) => ended)).toBe(true);
  });
});
