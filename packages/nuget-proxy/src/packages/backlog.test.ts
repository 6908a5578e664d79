import { ManualTime } from '@granary/resilience/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { Backlog } from './backlog.js';
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

let time: ManualTime;
let backlog: Backlog;
let begun: string[];
let end: Map<string, () => void>;

beforeEach(() => {
  time = new ManualTime();
  backlog = new Backlog(time);
  begun = [];
  end = new Map();
});

function add(name: string) {
  return backlog.add(() => {
    begun.push(name);
    return new Promise<void>((resolve) => end.set(name, resolve));
  });
}

describe('what was put off', () => {
  it('is done in order when nothing has come for a moment', async () => {
    add('one');
    add('two');
    await time.advance(99);
    expect(begun).toEqual([]);
    await time.advance(1);
    expect(begun).toEqual(['one', 'two']);
    expect(time.pending).toBe(0);
  });

  it('waits as long as more comes, but not for ever', async () => {
    for (let i = 0; i < 99; i++) {
      add(`${i}`);
      await time.advance(20);
    }
    expect(begun).toEqual([]);
    await time.advance(20);
    expect(begun).toHaveLength(8);
  });

  it('is done eight at a time', async () => {
    for (let i = 0; i < 20; i++) add(`${i}`);
    backlog.flush();
    expect(begun).toHaveLength(8);
    end.get('3')?.();
    await quiet();
    expect(begun).toHaveLength(9);
    // What comes while it is done takes its turn behind it.
    const last = add('last');
    for (let i = 0; i < 20; i++) {
      end.get(`${i}`)?.();
      await quiet();
    }
    expect(begun.at(-1)).toBe('last');
    end.get('last')?.();
    await last.done;
    add('later');
    expect(begun.at(-1)).toBe('last');
    expect(time.pending).toBe(1);
  });

  it('is done at once when somebody needs it, and only once', async () => {
    add('one');
    const two = add('two');
    two.hurry();
    two.hurry();
    expect(begun).toEqual(['two']);
    end.get('two')?.();
    await two.done;
    backlog.flush();
    two.hurry();
    expect(begun).toEqual(['two', 'one']);
    expect(time.pending).toBe(0);
  });

  it('is not put off any more when it is closed', async () => {
    add('one');
    backlog.close();
    add('two');
    backlog.close();
    expect(begun).toEqual(['one', 'two']);
    expect(time.pending).toBe(0);
  });
});

describe('a package that is all in memory', () => {
  const A = identityOf('Contoso.A');
  const fetch = (t: StoreUnderTest, id: string, bytes: Buffer) =>
    t.store.fetch('feed', identityOf(id), async () => Upstream.whole(bytes).answer());
  /** As a client does that knows the length. */
  const take = async (t: StoreUnderTest, id: string, bytes: Buffer) => {
    const content = await fetch(t, id, bytes);
    const part = await bytesOf((content as NonNullable<typeof content>).open({ limit: bytes.length }));
    expectBytes(part, bytes);
  };

  it.each([KIB, 20 * KIB, 200 * KIB])('of %i bytes is given at once, and stored a moment later', async (size) => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', size);
    await take(t, 'Contoso.A', bytes);
    await quiet();
    expect([t.disk.stats().blobs, t.incoming().length, t.store.arriving]).toEqual([0, 0, 1]);
    const again = t.store.atHand('feed', identityOf('contoso.a', '1.0'));
    expect(again).toMatchObject({ state: 'hit', size: bytes.length });
    expectBytes(await bytesOf((again as NonNullable<typeof again>).open({ limit: size })), bytes.subarray(0, size));
    expect(t.store.atHand('another', A)).toBeUndefined();

    await t.time.advance(100);
    await until(() => t.store.arriving === 0);
    expect(t.disk.stats()).toMatchObject({ blobs: 1, actionResults: 1 });
    expect(t.store.atHand('feed', A)).toBeUndefined();
    expectBytes(await new Client(await t.store.find('feed', A)).whole, bytes);
    expect(t.counted).toEqual(['download success', 'hit package', 'hit package']);
    expect(t.incoming()).toEqual([]);
  });

  it('is stored when somebody looks for it, and removed or kept when somebody wants that', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', 10 * KIB);
    await take(t, 'Contoso.A', bytes);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, bytes);
    await take(t, 'Contoso.B', packageOf('Contoso.B'));
    expect(await t.store.keep('feed', identityOf('Contoso.B'))).toBe(true);
    await take(t, 'Contoso.C', packageOf('Contoso.C'));
    expect(await t.store.remove('feed', identityOf('Contoso.C'))).toBe(true);
    await t.time.advance(10_000);
    expect(t.store.arriving).toBe(0);
    expect(await t.store.find('feed', identityOf('Contoso.C'))).toBeUndefined();
  });

  it('is stored when there is no room in memory for more', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = Array.from({ length: 66 }, (_, i) => packageOf(`Contoso.${i}`, 250 * KIB));
    for (const [i, each] of bytes.slice(0, 65).entries()) await take(t, `Contoso.${i}`, each);
    expect([t.disk.stats().blobs, t.store.arriving]).toEqual([0, 65]);
    (await fetch(t, 'Contoso.65', bytes[65] as Buffer))?.release();
    await until(() => t.store.arriving === 0);
    expect(t.disk.stats().blobs).toBe(66);
    expect(t.time.pending).toBe(0);
    await take(t, 'Contoso.Next', packageOf('Contoso.Next'));
    expect(t.store.arriving).toBe(1);
  });

  it('stays what it is for who reads it later, though its memory is used again', async () => {
    await using t = await StoreUnderTest.open();
    const [one, other] = [packageOf('Contoso.A', 150 * KIB), packageOf('Contoso.B', 150 * KIB)];
    const content = await fetch(t, 'Contoso.A', one);
    const chunks: Buffer[] = [];
    for await (const chunk of (content as NonNullable<typeof content>).open()) chunks.push(chunk);
    const late = await fetch(t, 'Contoso.A', one);
    const reader = late?.read?.();
    await until(() => t.store.arriving === 0);
    await take(t, 'Contoso.B', other);
    await take(t, 'Contoso.C', packageOf('Contoso.C', 150 * KIB));
    expectBytes(Buffer.concat(chunks), one);
    const read: Buffer[] = [];
    for (let chunk = await reader?.next(); chunk !== undefined; chunk = await reader?.next())
      read.push(Buffer.from(chunk));
    await reader?.close();
    expectBytes(Buffer.concat(read), one);
  });

  it('is stored before the store is closed', async () => {
    await using t = await StoreUnderTest.open();
    for (let i = 0; i < 20; i++) await take(t, `Contoso.${i}`, packageOf(`Contoso.${i}`, 40 * KIB));
    await t.store.close();
    expect(t.disk.stats()).toMatchObject({ blobs: 20, actionResults: 20 });
    expect(t.time.pending).toBe(0);
  });
});
