import { Digest } from '@granary/blobs';
import { NupkgReader } from '@granary/nuget';
import { RecordingTracer } from '@granary/telemetry/testing';
import { describe, expect, it } from 'vitest';
import type { PackageContent, PackageReader } from '../feed/feed-content.js';
import {
  bytesOf,
  Client,
  expectBytes,
  identityOf,
  packageOf,
  quiet,
  StoreUnderTest,
  Upstream,
  until,
} from './testing/store-under-test.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const HELD_BACK = 64 * KIB;
const A = identityOf('Contoso.A');

function read(content: PackageContent | undefined, part?: Parameters<PackageContent['open']>[0]): Promise<Buffer> {
  return bytesOf((content as PackageContent).open(part));
}

/** What a reader gives, and in how many memories. */
async function lent(reader: PackageReader): Promise<{ readonly bytes: Buffer; readonly memories: number }> {
  const copies: Buffer[] = [];
  const memories = new Set<unknown>();
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    copies.push(Buffer.from(chunk));
    memories.add(chunk.buffer);
  }
  await reader.close();
  return { bytes: Buffer.concat(copies), memories: memories.size };
}

describe('a package that comes from upstream', () => {
  it('is stored, found and given byte for byte', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', 300 * KIB);
    expect(await t.store.find('feed', A)).toBeUndefined();
    const content = await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer());
    expect(content?.state).toBe('miss');
    expect(content?.size).toBe(bytes.length);
    expectBytes(await read(content), bytes);

    const found = await t.store.find('feed', identityOf('contoso.a', '1.0'));
    expect(found).toMatchObject({ state: 'hit', size: bytes.length, lastModified: new Date(t.time.clock()) });
    expect(found?.etag).toMatch(/^"[0-9a-f]{64}"$/);
    expectBytes(await read(found), bytes);
    expectBytes(await read(found, { offset: 1000, limit: 100_000 }), bytes.subarray(1000, 101_000));
    expect(await t.store.find('another', A)).toBeUndefined();
    await until(() => t.incoming().length === 0);
    expect(t.counted).toEqual(['miss package', 'download success', 'hit package', 'miss package']);
  });

  it('is given while it arrives, all but its end', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', MIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(16 * KIB);
    const content = await fetching;
    expect(content).toMatchObject({ size: upstream.bytes.length, etag: undefined, lastModified: undefined });
    const client = new Client(content);
    await until(() => client.received === 16 * KIB);

    upstream.send(700 * KIB);
    await until(() => client.received === 716 * KIB);
    upstream.send(upstream.bytes.length - 716 * KIB - 1);
    const most = upstream.bytes.length - HELD_BACK;
    await until(() => client.received === most);
    await quiet();
    expect(client.received).toBe(most);
    expect(await t.store.find('feed', A)).toBeUndefined();

    upstream.send();
    expectBytes(await client.whole, upstream.bytes);
    expect(await t.store.find('feed', A)).toMatchObject({ size: upstream.bytes.length });
    await until(() => t.incoming().length === 0);
  });

  it('is given as a whole when it is shorter than what is held back', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 10 * KIB));
    let isAnswered = false;
    const fetching = t.store
      .fetch('feed', A, async () => upstream.answer())
      .finally(() => {
        isAnswered = true;
      });
    upstream.send(9 * KIB);
    await quiet();
    expect(isAnswered).toBe(false);
    upstream.send();
    const content = await fetching;
    const stored = await t.store.find('feed', A);
    expect(content).toMatchObject({ state: 'miss', size: upstream.bytes.length });
    expect(content?.etag).toMatch(/^"[0-9a-f]{64}"$/);
    expect(content?.lastModified).toEqual(new Date(t.time.clock()));
    const next = await t.store.fetch('feed', A, () => expect.unreachable());
    expect(next?.state).toBe('hit');
    next?.release();
    expectBytes(await read(content), upstream.bytes);
    expect(content?.etag).toBe((stored ?? (await t.store.find('feed', A)))?.etag);
  });

  it('may be of unknown length', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = Upstream.withoutLength(packageOf('Contoso.A', 500 * KIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(100 * KIB);
    const content = await fetching;
    expect(content?.size).toBeUndefined();
    const client = new Client(content);
    await until(() => client.received === 36 * KIB);
    upstream.send();
    expectBytes(await client.whole, upstream.bytes);
    expect(content?.size).toBe(upstream.bytes.length);
  });

  it('comes to who joins late from its beginning, and to each at its own speed', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 3 * MIB));
    const open = async () => upstream.answer();
    const fetching = t.store.fetch('feed', A, open);
    upstream.send(2 * MIB);
    const first = new Client(await fetching);
    await until(() => first.received === 2 * MIB);

    const slow = (await t.store.fetch('feed', A, open))?.open();
    const second = new Client(await t.store.fetch('feed', identityOf('CONTOSO.a', '1.0.0.0'), open));
    await until(() => second.received === 2 * MIB);
    expect(t.store.arriving).toBe(1);
    upstream.send();
    expectBytes(await first.whole, upstream.bytes);
    expectBytes(await second.whole, upstream.bytes);
    // Nobody waits for the slow one, which goes on with the file that is the blob by now, even when that is removed.
    expect(t.store.arriving).toBe(0);
    expect(t.incoming()).toEqual([]);
    expect(await t.disk.delete(Digest.of('sha256', upstream.bytes))).toBe(true);
    expectBytes(await bytesOf(slow as NonNullable<typeof slow>), upstream.bytes);
    await until(() => t.incoming().length === 0);
  });

  it('is given in parts while it arrives, but none as a whole before all of it was verified', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 2 * MIB));
    const { bytes } = upstream;
    const open = async () => upstream.answer();
    const fetching = t.store.fetch('feed', A, open);
    upstream.send(MIB);
    const here = new Client(await fetching, { offset: 100, limit: 50_000 });
    const [across, ahead, last, nothing] = await Promise.all([
      t.store.fetch('feed', A, open).then((content) => new Client(content, { offset: 1000 * KIB, limit: 100 * KIB })),
      t.store.fetch('feed', A, open).then((content) => new Client(content, { offset: 1500 * KIB, limit: 1 })),
      t.store.fetch('feed', A, open).then((content) => new Client(content, { offset: bytes.length - 10 })),
      t.store.fetch('feed', A, open).then((content) => new Client(content, { offset: 5, limit: 0 })),
    ]);
    expect(await nothing?.whole).toHaveLength(0);
    await until(() => across.received === 24 * KIB && here.received === 50_000 - 1);
    upstream.send(bytes.length - MIB - 1);
    await until(() => across.received === 100 * KIB - 1);
    await quiet();
    expect([here.received, across.received, ahead.received, last.received]).toEqual([49_999, 100 * KIB - 1, 0, 0]);
    upstream.send();
    expectBytes(await here.whole, bytes.subarray(100, 50_100));
    expectBytes(await across.whole, bytes.subarray(1000 * KIB, 1100 * KIB));
    expectBytes(await ahead.whole, bytes.subarray(1500 * KIB, 1500 * KIB + 1));
    expectBytes(await last.whole, bytes.subarray(-10));
  });

  it('is read in memory that is used again, while it arrives and from the store', async () => {
    await using t = await StoreUnderTest.open({ timers: undefined });
    const upstream = new Upstream(packageOf('Contoso.A', 5 * MIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(4 * MIB);
    const arriving = await fetching;
    const other = new Client(arriving);
    await until(() => other.received === 4 * MIB);
    const reader = arriving?.read?.();
    const first = await reader?.next();
    upstream.send();
    const rest = await lent(reader as PackageReader);
    expectBytes(Buffer.concat([upstream.bytes.subarray(0, first?.length), rest.bytes]), upstream.bytes);
    // One for what is in the file, the others are shared with who keeps up.
    expect(rest.memories).toBeLessThan(40);
    await other.whole;

    const stored = await t.store.find('feed', A);
    const whole = await lent(stored?.read() as PackageReader);
    expectBytes(whole.bytes, upstream.bytes);
    expect(whole.memories).toBeLessThan(4);
    const part = await lent(stored?.read({ offset: 5, limit: 3 * MIB }) as PackageReader);
    expectBytes(part.bytes, upstream.bytes.subarray(5, 5 + 3 * MIB));
    const closed = stored?.read();
    await closed?.close();
    expect(await closed?.next()).toBeUndefined();
    const closing = stored?.read();
    const next = closing?.next();
    await closing?.close();
    await expect(next).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('may be opened more than once', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(packageOf('Contoso.A', 500 * KIB));
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(300 * KIB);
    const content = await fetching;
    const clients = [new Client(content), new Client(content, { offset: 400 * KIB })];
    content?.release();
    upstream.send();
    expectBytes(await clients[0]?.whole, upstream.bytes);
    expectBytes(await clients[1]?.whole, upstream.bytes.subarray(400 * KIB));
    await until(() => t.incoming().length === 0);
    expect(() => content?.release()).not.toThrow();
    await expect(read(content)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('is not there when upstream says so', async () => {
    await using t = await StoreUnderTest.open();
    expect(await t.store.fetch('feed', A, async () => undefined)).toBeUndefined();
    expect(t.store.arriving).toBe(0);
    expect(t.counted).toEqual([]);
  });

  it('is read here and there once it is stored', async () => {
    await using t = await StoreUnderTest.open();
    for (const size of [5 * KIB, 900 * KIB]) {
      const identity = identityOf('Contoso.A', `${size}.0.0`);
      const bytes = packageOf('Contoso.A', size, `${size}.0.0`);
      await read(await t.store.fetch('feed', identity, async () => Upstream.whole(bytes).answer()));
      const stored = await t.store.find('feed', identity);
      await using reader = await NupkgReader.open((stored as NonNullable<typeof stored>).source());
      expect((await reader.nuspec()).id).toBe('Contoso.A');
      stored?.release();
    }
  });
});

describe('who asks for a package at the same time', () => {
  it.each([2 * KIB, 700 * KIB])('asks upstream once, 25 of them, for %i bytes', async (size) => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', size);
    let asked = 0;
    const open = async () => {
      asked++;
      return Upstream.whole(bytes).answer();
    };
    const contents = await Promise.all(Array.from({ length: 25 }, () => t.store.fetch('feed', A, open)));
    for (const content of contents) expectBytes(await read(content), bytes);
    expect(contents.map((content) => content?.state)).toEqual(['miss', ...Array(24).fill('hit')]);
    expect(asked).toBe(1);
    expect(t.counted).toEqual(['download success']);
    await until(() => t.incoming().length === 0);
  });

  it('hears that upstream has not got it, or failed, and who asks later asks again', async () => {
    await using t = await StoreUnderTest.open();
    let asked = 0;
    const absent = async () => {
      asked++;
      return undefined;
    };
    const heard: string[] = [];
    const call = { onNothing: (state: string) => void heard.push(state) };
    const contents = await Promise.all([1, 2, 3].map(() => t.store.fetch('feed', A, absent, {}, call)));
    expect(contents).toEqual([undefined, undefined, undefined]);
    expect(heard.sort()).toEqual(['hit', 'hit', 'miss']);
    expect(asked).toBe(1);
    const failing = async () => {
      asked++;
      throw new Error('upstream is down');
    };
    const failures = await Promise.allSettled([1, 2, 3].map(() => t.store.fetch('feed', A, failing)));
    expect(failures.map((each) => each.status === 'rejected' && each.reason.message)).toEqual(
      Array(3).fill('upstream is down'),
    );
    expect(asked).toBe(2);
    const bytes = packageOf('Contoso.A');
    expectBytes(await read(await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer())), bytes);
    expect(t.counted).toEqual(['download failure', 'download success']);
  });

  it('gets it from the store when it has come since it was looked for', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', 500);
    await read(await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer()));
    const never = async () => {
      throw new Error('upstream must not be asked');
    };
    const again = await t.store.fetch('feed', A, never);
    expect(again?.state).toBe('hit');
    expectBytes(await read(again), bytes);
  });

  it('gets packages of other sources from those', async () => {
    await using t = await StoreUnderTest.open();
    const [one, other] = [packageOf('Contoso.A'), packageOf('Contoso.A')];
    const [a, b] = await Promise.all([
      t.store.fetch('one', A, async () => Upstream.whole(one).answer()),
      t.store.fetch('other', A, async () => Upstream.whole(other).answer()),
    ]);
    expectBytes(await read(a), one);
    expectBytes(await read(b), other);
    expectBytes(await read(await t.store.find('one', A)), one);
    expectBytes(await read(await t.store.find('other', A)), other);
  });
});

describe('a package store that is traced', () => {
  it('says what was fetched, where from, and what became of it', async () => {
    const tracer = new RecordingTracer();
    const parent = tracer.startSpan('request');
    await using t = await StoreUnderTest.open({ tracer });
    const bytes = packageOf('Contoso.A', 1000);
    const call = { span: parent, sourceUrl: 'https://feed.test/' };
    const spans: unknown[] = [];
    const fetch = () =>
      t.store.fetch(
        'feed',
        A,
        async (_, span) => {
          spans.push(span);
          return Upstream.whole(bytes).answer();
        },
        {},
        call,
      );
    await read(await fetch());
    await read(await fetch());
    await expect(t.store.fetch('other', A, () => Promise.reject(new Error('down')), {}, call)).rejects.toThrow('down');
    await until(() => t.store.arriving === 0);
    const downloads = tracer.spans.filter(({ name }) => name === 'DownloadPackage');
    expect(
      downloads.map((span) => [span.attributes['cache.hit'], span.attributes['package.size'], span.ended]),
    ).toEqual([
      [false, bytes.length, true],
      [true, undefined, true],
      [false, undefined, true],
    ]);
    expect(downloads[0]?.attributes).toMatchObject({
      'package.id': 'Contoso.A',
      'package.version': '1.0.0',
      'source.url': 'https://feed.test/',
    });
    expect(downloads[0]?.parentId).toBe(parent.spanId);
    expect(spans).toEqual([downloads[0]]);
    expect(downloads[2]?.errors).toHaveLength(1);
  });
});
