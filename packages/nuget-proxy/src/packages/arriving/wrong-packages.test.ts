import { createHash } from 'node:crypto';
import type { PackageStream } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import {
  Client,
  expectBytes,
  identityOf,
  packageOf,
  StoreUnderTest,
  type TestStoreOptions,
  Upstream,
  until,
} from '../testing/store-under-test.js';

const KIB = 1024;
const A = identityOf('Contoso.A');
const HTML = Buffer.from(`<!DOCTYPE html><html><body>${'Please log in. '.repeat(20_000)}</body></html>`);

interface Refusal {
  /** What upstream sends; all of it at once. */
  readonly bytes: Buffer;
  /** What it announces. Default: what it sends. */
  readonly length?: number | undefined;
  readonly expected?: Parameters<StoreUnderTest['store']['fetch']>[3];
  readonly options?: TestStoreOptions;
  readonly code: string;
  readonly says: RegExp;
}

const large = packageOf('Contoso.A', 300 * KIB);
const small = packageOf('Contoso.A', 3 * KIB);

/** With one byte in the middle of a file's header changed. */
function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const header = copy.lastIndexOf('PK\x03\x04', copy.length - 30, 'latin1');
  copy.writeUInt8(copy.readUInt8(header + 30) ^ 0xff, header + 30);
  return copy;
}

const refusals: Readonly<Record<string, Refusal>> = {
  'a truncated package': {
    bytes: large.subarray(0, 200 * KIB),
    length: large.length,
    code: 'SOURCE_UNAVAILABLE',
    says: /^feed: Contoso.A 1.0.0 broke off after 204800 of \d+ bytes$/,
  },
  'a package without its last byte': { bytes: large.subarray(0, -1), code: 'INVALID_PACKAGE', says: /^feed: / },
  'a package without its last byte, of unknown length': {
    bytes: large.subarray(0, -1),
    length: undefined,
    code: 'SOURCE_UNAVAILABLE',
    says: /^feed: Contoso.A 1.0.0 broke off after \d+ bytes$/,
  },
  'a small package that is cut in the middle, of unknown length': {
    bytes: small.subarray(0, 2000),
    length: undefined,
    code: 'SOURCE_UNAVAILABLE',
    says: /^feed: Contoso.A 1.0.0 broke off after \d+ bytes$/,
  },
  'a package that is longer than announced': {
    bytes: Buffer.concat([large, Buffer.alloc(1)]),
    length: large.length,
    code: 'SOURCE_UNAVAILABLE',
    says: /longer than the \d+ bytes that were announced/,
  },
  'a package with something behind it': {
    bytes: Buffer.concat([large, Buffer.alloc(100_000, 1)]),
    code: 'INVALID_PACKAGE',
    says: /^feed: /,
  },
  'a package with another id': {
    bytes: packageOf('Contoso.B', 300 * KIB),
    code: 'INVALID_PACKAGE',
    says: /is Contoso.B by its nuspec/,
  },
  'a package of another version': {
    bytes: packageOf('Contoso.A', 300 * KIB, '1.0.1'),
    code: 'INVALID_PACKAGE',
    says: /is version 1.0.1 by its nuspec/,
  },
  'a page in HTML': { bytes: HTML, code: 'INVALID_PACKAGE', says: /does not begin as packages do, but as a web page/ },
  'a document that is no page': {
    bytes: Buffer.from('{"error": "<p>"}'),
    code: 'INVALID_PACKAGE',
    says: /does not begin as packages do(?!, but)/,
  },
  'a package that goes on as a page': {
    bytes: Buffer.concat([Buffer.from('PK\u0003'), HTML]),
    code: 'INVALID_PACKAGE',
    says: /does not begin as packages do(?!, but)/,
  },
  'a page in HTML that is as short as can be': {
    bytes: Buffer.from('<p>'),
    code: 'INVALID_PACKAGE',
    says: /does not begin as packages do/,
  },
  'nothing at all': { bytes: Buffer.alloc(0), length: 0, code: 'INVALID_PACKAGE', says: /^feed: / },
  'what begins as a package and is none': {
    bytes: Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(200_000, 7)]),
    code: 'INVALID_PACKAGE',
    says: /^feed: /,
  },
  'a package whose directory does not fit its files': {
    bytes: damaged(large),
    code: 'INVALID_PACKAGE',
    says: /^feed: /,
  },
  'a package with a path that leads out of a folder': {
    bytes: buildPackage({ id: 'Contoso.A', version: '1.0.0', files: { '../../evil.dll': 'evil' } }),
    code: 'INVALID_PACKAGE',
    says: /^feed: /,
  },
  'a package with another SHA-512': {
    bytes: large,
    expected: { hash: { algorithm: 'SHA512', value: createHash('sha512').update('another').digest('base64') } },
    code: 'INVALID_PACKAGE',
    says: /has the SHA512 hash .+==, not .+==/,
  },
  'a package with another hash of an older kind': {
    bytes: large,
    expected: { hash: { algorithm: 'SHA256', value: createHash('sha256').update('another').digest('base64') } },
    code: 'INVALID_PACKAGE',
    says: /has the SHA256 hash/,
  },
  'a package of another size': {
    bytes: large,
    expected: { size: large.length - 1 },
    code: 'INVALID_PACKAGE',
    says: /has \d+ bytes, not \d+/,
  },
  'a package of another size, of unknown length': {
    bytes: large,
    length: undefined,
    expected: { size: large.length + 1 },
    code: 'INVALID_PACKAGE',
    says: /has \d+ bytes, not \d+/,
  },
  'a package that is too long': {
    bytes: large,
    options: { maxPackageBytes: 250 * KIB },
    code: 'LIMIT',
    says: /is longer than 256000 bytes/,
  },
  'a package that is too long, of unknown length': {
    bytes: large,
    length: undefined,
    options: { maxPackageBytes: 250 * KIB },
    code: 'LIMIT',
    says: /is longer than 256000 bytes/,
  },
};

describe('what upstream sends instead of a package', () => {
  it.each(Object.entries(refusals))('is never stored, nor given as a whole: %s', async (_, refusal) => {
    const { bytes, expected, options, code, says } = refusal;
    await using t = await StoreUnderTest.open(options);
    const { length = 'length' in refusal ? undefined : bytes.length } = refusal;
    const upstream = length === undefined ? Upstream.withoutLength(bytes) : new Upstream(bytes, length);
    const open = async () => upstream.answer();
    const clients = Promise.allSettled(
      [1, 2, 3].map(async () => {
        const client = new Client(await t.store.fetch('feed', A, open, expected));
        return { client, whole: await Promise.allSettled([client.whole]) };
      }),
    );
    upstream.send(Math.min(bytes.length, 20 * KIB));
    await new Promise((resolve) => setImmediate(resolve));
    upstream.send();
    for (const result of await clients) {
      const [whole] = result.status === 'fulfilled' ? result.value.whole : [result];
      expect(whole).toMatchObject({ status: 'rejected', reason: { code, source: 'feed' } });
      expect((whole as PromiseRejectedResult).reason.message).toMatch(says);
      if (result.status === 'fulfilled')
        expect(result.value.client.received).toBeLessThanOrEqual(
          Math.max(0, (refusal.length ?? bytes.length) - 64 * KIB),
        );
    }
    expect(await t.store.find('feed', A)).toBeUndefined();
    expect(t.disk.stats()).toMatchObject({ blobs: 0, actionResults: 0 });
    await until(() => t.incoming().length === 0);
    expect(t.store.arriving).toBe(0);
    expect(t.time.pending).toBe(0);
    expect(upstream.body.destroyed).toBe(true);
    expect(t.counted).toEqual(['download failure', 'miss package']);
    expect(t.logs.at(-1)).toBe('warning: Could not fetch Contoso.A 1.0.0 from feed');

    // The next one may be right.
    const again = await t.store.fetch('feed', A, async () => Upstream.whole(small).answer());
    expectBytes(await new Client(again).whole, small);
  });

  it('is looked at before anything of it is given', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(HTML);
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    for (let byte = 0; byte < 3; byte++) upstream.send(1);
    await expect(fetching).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(upstream.body.destroyed).toBe(true);
  });

  it('ends with the error that its stream ends with', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(large);
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(100 * KIB);
    const client = new Client(await fetching);
    await until(() => client.received > 0);
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    upstream.body.destroy(reset);
    await expect(client.whole).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringMatching(/^feed: Contoso.A 1.0.0 broke off after 102400 of \d+ bytes$/),
      cause: reset,
    });
  });

  it('may be broken before it is read', async () => {
    await using t = await StoreUnderTest.open();
    const upstream = new Upstream(large);
    upstream.body.destroy(new Error('gone'));
    await expect(t.store.fetch('feed', A, async () => upstream.answer())).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
    });
  });

  it('is what the hash said when that is right, of whatever kind it is', async () => {
    await using t = await StoreUnderTest.open();
    for (const algorithm of ['SHA512', 'sha-512', 'SHA256']) {
      const value = createHash(algorithm.replace('-', '')).update(large).digest('base64');
      const expected = { hash: { algorithm, value: ` ${value}\n` }, size: large.length };
      const content = await t.store.fetch(algorithm, A, async () => Upstream.whole(large).answer(), expected);
      expectBytes(await new Client(content).whole, large);
      expect(await t.store.find(algorithm, A)).toBeDefined();
    }
  });

  it('is fetched again when what is here is not what the source says now', async () => {
    await using t = await StoreUnderTest.open();
    const old = packageOf('Contoso.A', KIB);
    const put = async (bytes: Buffer, expected: Refusal['expected'] = {}) => {
      const content = await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer(), expected);
      await new Client(content).whole;
      return content;
    };
    await put(old);
    const value = createHash('sha512').update(small).digest('base64');
    for (const expected of [{ size: small.length }, { hash: { algorithm: 'SHA512', value } }]) {
      expect((await put(small, expected))?.state).toBe(expected.hash ? 'hit' : 'miss');
      expectBytes(await new Client(await t.store.find('feed', A)).whole, small);
    }
    // What can't be compared is taken as it is.
    const other = { hash: { algorithm: 'SHA256', value: 'whatever' } };
    expect((await put(old, other))?.state).toBe('hit');
  });
});

describe('an upstream that falls silent', () => {
  it('is given up, whoever waits', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: 8000 });
    const upstream = new Upstream(large);
    const fetching = t.store.fetch('feed', A, async () => upstream.answer());
    upstream.send(100 * KIB);
    const client = new Client(await fetching);
    await t.time.advance(7000);
    upstream.send(KIB);
    await until(() => client.received === 101 * KIB);
    await t.time.advance(7900);
    expect(upstream.body.destroyed).toBe(false);
    await t.time.advance(2200);
    await expect(client.whole).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: 'feed: Contoso.A 1.0.0 sent nothing for 8000 ms',
    });
    expect(upstream.body.destroyed).toBe(true);
    expect(t.time.pending).toBe(0);
    await until(() => t.incoming().length === 0);
  });

  it('before it sends anything, is its own caller’s business', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: 8000 });
    let answer = (_: PackageStream | undefined) => {};
    const opened = new Promise<PackageStream | undefined>((resolve) => {
      answer = resolve;
    });
    const fetching = t.store.fetch('feed', A, () => opened);
    await t.time.advance(60_000);
    answer(Upstream.whole(small).answer());
    expectBytes(await new Client(await fetching).whole, small);
  });
});
