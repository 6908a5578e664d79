import type { DiskBlobStore } from '@granary/blobs';
import type { PackageStream } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import type { OpenUpstream } from '../package-store.js';
import {
  Client,
  expectBytes,
  identityOf,
  packageOf,
  quiet,
  StoreUnderTest,
  Upstream,
  until,
} from '../testing/store-under-test.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const A = identityOf('Contoso.A');

/** An upstream that answers when the test says so, and what it was told. */
class Waiting {
  readonly signals: AbortSignal[] = [];
  answer: (stream: PackageStream | undefined) => void = () => {};
  readonly #answered = new Promise<PackageStream | undefined>((resolve) => {
    this.answer = resolve;
  });
  readonly open: OpenUpstream = (signal) => {
    this.signals.push(signal);
    return this.#answered;
  };
}

describe('clients that go away', () => {
  it('leave the others what they came for', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 20 * MIB));
    const open = async () => upstream.answer();
    const controller = new AbortController();
    const asking = t.store.fetch('feed', A, open, {}, { signal: controller.signal });
    const staying = t.store.fetch('feed', A, open);
    controller.abort(new Error('the client went away'));
    await expect(asking).rejects.toThrow('the client went away');
    upstream.send(MIB);
    const client = new Client(await staying);
    const other = new Client(await t.store.fetch('feed', A, open));
    const unread = await t.store.fetch('feed', A, open);
    await until(() => other.received === MIB);
    other.stream.destroy();
    unread?.release();
    await quiet();
    expect(upstream.body.destroyed).toBe(false);
    upstream.send();
    expectBytes(await client.whole, upstream.bytes);
  });

  it('and are the last ones while upstream is asked, end the question', async () => {
    await using t = await StoreUnderTest.open();
    const waiting = new Waiting();
    const controllers = [new AbortController(), new AbortController()];
    const asking = controllers.map(({ signal }) => t.store.fetch('feed', A, waiting.open, {}, { signal }));
    await until(() => waiting.signals.length === 1);
    controllers[0]?.abort(new Error('one'));
    await expect(asking[0]).rejects.toThrow('one');
    expect(waiting.signals[0]?.aborted).toBe(false);
    controllers[1]?.abort(new Error('two'));
    await expect(asking[1]).rejects.toThrow('two');
    expect(waiting.signals[0]?.aborted).toBe(true);
    await until(() => t.store.arriving === 0);
    expect(t.counted).toEqual([]);
    expect(t.logs.some((line) => line.startsWith('warning'))).toBe(false);
    // An answer that comes too late is thrown away.
    const late = Upstream.whole(packageOf('Contoso.A'));
    waiting.answer(late.answer());
    await until(() => late.body.destroyed);
    expect(t.time.pending).toBe(0);
  });

  it('and are the last ones early in a large package, end it', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 12 * MIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(MIB);
    const client = new Client(await fetching);
    await until(() => client.received === MIB);
    client.stream.destroy();
    await until(() => upstream.body.destroyed && t.store.arriving === 0);
    await until(() => t.incoming().length === 0);
    expect(await t.store.find('feed', A)).toBeUndefined();
    expect(t.counted).toEqual(['miss package']);
    expect(t.time.pending).toBe(0);
  });

  it.each([
    ['a small one', 3 * MIB, 100 * KIB],
    ['most of a large one', 12 * MIB, 7 * MIB],
  ])('and are the last ones when there is %s, leave it to be stored', async (_, size, sent) => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', size));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(sent);
    const client = new Client(await fetching);
    await until(() => client.received === sent);
    client.stream.destroy();
    await quiet();
    expect(upstream.body.destroyed).toBe(false);
    upstream.send();
    await until(() => t.store.arriving === 0);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, upstream.bytes);
    await until(() => t.incoming().length === 0);
  });

  it('and are the last ones, end a package of unknown length when it turns out to be large', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = Upstream.withoutLength(packageOf('Contoso.A', 12 * MIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(MIB);
    (await fetching)?.release();
    await quiet();
    expect(upstream.body.destroyed).toBe(false);
    upstream.send(4 * MIB);
    await until(() => upstream.body.destroyed && t.store.arriving === 0);
    await until(() => t.incoming().length === 0);
  });

  it('don’t spoil it for who comes right after', async () => {
    await using t = await StoreUnderTest.open();
    const first = new Upstream(packageOf('Contoso.A', 12 * MIB));
    const fetching = t.store.fetch('feed', A, async () => first.answer());
    first.send(MIB);
    const content = await fetching;
    const second = Upstream.whole(packageOf('Contoso.A', 200 * KIB));
    content?.release();
    const again = await t.store.fetch('feed', A, async () => second.answer());
    expectBytes(await new Client(again).whole, second.bytes);
    expect(first.body.destroyed).toBe(true);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, second.bytes);
  });

  it('are not asked for when they were gone before', async () => {
    await using t = await StoreUnderTest.open();
    const signal = AbortSignal.abort(new Error('gone'));
    await expect(t.store.fetch('feed', A, async () => undefined, {}, { signal })).rejects.toThrow('gone');
    expect(t.store.arriving).toBe(0);
  });

  it('leave no listeners behind', async () => {
    await using t = await StoreUnderTest.open();
    const { signal } = new AbortController();
    let added = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      added++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      added--;
      removeEventListener.apply(signal, args);
    };
    const upstream = Upstream.whole(packageOf('Contoso.A', 500 * KIB));
    const content = await t.store.fetch('feed', A, async () => upstream.answer(), {}, { signal });
    await new Client(content).whole;
    expect(added).toBe(0);
  });

  it('that read slowly keep nobody waiting, nor the bytes in memory', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = Upstream.whole(packageOf('Contoso.A', 8 * MIB));
    const open = async () => upstream.answer();
    const [slow, fast] = await Promise.all([t.store.fetch('feed', A, open), t.store.fetch('feed', A, open)]);
    const stream = slow?.open();
    stream?.read(0);
    expectBytes(await new Client(fast).whole, upstream.bytes);
    expect(stream?.readableLength).toBeLessThanOrEqual(128 * KIB);
    stream?.destroy();
    await until(() => t.incoming().length === 0);
  });
});

describe('packages that arrive at once', () => {
  it('are so many, and the others wait for their turn in order', async () => {
    await using t = await StoreUnderTest.open({ maxArrivals: 2, maxWaiting: 2 });
    const begun: string[] = [];
    const upstreams = new Map<string, Upstream>();
    const fetch = (id: string, signal?: AbortSignal, source = 'feed') =>
      t.store.fetch(
        source,
        identityOf(id),
        async () => {
          const upstream = new Upstream(packageOf(id));
          upstreams.set(id, upstream);
          begun.push(id);
          return upstream.answer();
        },
        {},
        { signal },
      );
    const controller = new AbortController();
    const one = fetch('One');
    const two = fetch('Two');
    await until(() => begun.length === 2);
    const three = fetch('Three', controller.signal);
    const four = fetch('Four');
    await quiet();
    await expect(fetch('Five')).rejects.toMatchObject({
      code: 'FEED_UNAVAILABLE',
      source: 'feed',
      retryAfterMs: 2000,
      message: 'feed: too many packages are being fetched',
    });
    expect(begun).toEqual(['One', 'Two']);
    const other = fetch('Other', undefined, 'another');
    await until(() => begun.includes('Other'));

    controller.abort(new Error('gone'));
    await expect(three).rejects.toThrow('gone');
    const six = fetch('Six');
    await quiet();
    expect(begun).toEqual(['One', 'Two', 'Other']);
    upstreams.get('Two')?.send();
    await two;
    await until(() => begun.includes('Four'));
    upstreams.get('One')?.send();
    await until(() => begun.includes('Six'));
    for (const upstream of upstreams.values()) if (!upstream.body.readableEnded) upstream.send();
    for (const content of await Promise.all([one, two, four, six, other])) content?.release();
    expect(begun).toEqual(['One', 'Two', 'Other', 'Four', 'Six']);
  });

  it('give back their turn however they end', async () => {
    await using t = await StoreUnderTest.open({ maxArrivals: 1, maxWaiting: 0 });
    const fetch = (open: OpenUpstream) => t.store.fetch('feed', A, open);
    await expect(fetch(() => Promise.reject(new Error('down')))).rejects.toThrow('down');
    const thrown: OpenUpstream = () => {
      throw new Error('at once');
    };
    await expect(fetch(thrown)).rejects.toThrow('at once');
    expect(await fetch(async () => undefined)).toBeUndefined();
    await expect(fetch(async () => Upstream.whole(Buffer.from('<html>')).answer())).rejects.toThrow('begin');
    const bytes = packageOf('Contoso.A');
    expectBytes(await new Client(await fetch(async () => Upstream.whole(bytes).answer())).whole, bytes);
  });
});

describe('a package store that is closed', () => {
  it('ends what arrives, and nothing is left of it', async () => {
    await using t = await StoreUnderTest.open({ maxArrivals: 3 });
    const upstream = new Upstream(packageOf('Contoso.A', 2 * MIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(1900 * KIB);
    const client = new Client(await fetching);
    const waiting = new Waiting();
    const asking = [
      t.store.fetch('feed', identityOf('Contoso.B'), waiting.open),
      t.store.fetch('feed', identityOf('Contoso.C'), waiting.open),
      t.store.fetch('feed', identityOf('Contoso.D'), waiting.open),
    ].map((each) => expect(each).rejects.toMatchObject({ code: 'CLOSED' }));
    await until(() => waiting.signals.length === 2 && client.received > 0);
    const closing = t.store.close();
    expect(t.store.close()).toBe(closing);
    await Promise.all(asking);
    await expect(client.whole).rejects.toMatchObject({ code: 'CLOSED' });
    await closing;
    expect(t.store.arriving).toBe(0);
    expect(upstream.body.destroyed).toBe(true);
    expect(t.time.pending).toBe(0);
    await until(() => t.incoming().length === 0);
    await expect(t.store.find('feed', A)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(t.store.fetch('feed', A, waiting.open)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(t.store.adopt('feed', A, '/nowhere')).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(t.store.remove('feed', A)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(waiting.signals).toHaveLength(2);
  });

  it('finishes what is being stored', async () => {
    let store = () => {};
    const mayStore = new Promise<void>((resolve) => {
      store = resolve;
    });
    let isStoring = false;
    await using t = await StoreUnderTest.open({
      around: (blobs) =>
        Object.assign(Object.create(blobs), {
          findMissing: blobs.findMissing.bind(blobs),
          adopt: async (...args: Parameters<DiskBlobStore['adopt']>) => {
            isStoring = true;
            await mayStore;
            return blobs.adopt?.(...args);
          },
        }),
    });
    const bytes = packageOf('Contoso.A', 100 * KIB);
    const client = new Client(await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer()));
    // All of it is given before it is stored, but its end.
    await until(() => client.received === bytes.length && isStoring);
    // Who looks for it now finds it when it is.
    const finding = t.store.find('feed', A);
    const gone = t.store.find('feed', A, { signal: AbortSignal.abort(new Error('gone')) });
    await expect(gone).rejects.toThrow('gone');
    let isClosed = false;
    const closing = t.store.close().then(() => {
      isClosed = true;
    });
    await quiet();
    expect([isClosed, client.stream.readableEnded]).toEqual([false, false]);
    store();
    await closing;
    expectBytes(await client.whole, bytes);
    expect((await finding)?.state).toBe('hit');
    expect(t.disk.stats()).toMatchObject({ blobs: 1, actionResults: 1 });
  });
});
