import { createHash } from 'node:crypto';
import { type NuGetErrorCode, type PackageRest, type PackageStream, SourceError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
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
const A = identityOf('Contoso.A');
const TAG = '"tag"';
const bytes = packageOf('Contoso.A', 700 * KIB);
/** Of the same length, and another one behind its first 100 KiB. */
const another = Buffer.concat([bytes.subarray(0, 100 * KIB), Buffer.alloc(bytes.length - 100 * KIB, 7)]);

type Part = (rest: PackageRest | undefined) => PackageStream | undefined;

/** What a source gives one time after the other. */
class Source {
  readonly asked: (PackageRest | undefined)[] = [];
  readonly given: PackageStream[] = [];
  readonly #parts: Part[];

  constructor(...parts: Part[]) {
    this.#parts = parts;
  }

  readonly open = async (_signal: AbortSignal, _span: unknown, rest: PackageRest | undefined) => {
    this.asked.push(rest);
    const stream = this.#parts.shift()?.(rest);
    if (stream !== undefined) this.given.push(stream);
    return stream;
  };
}

/** So many bytes of what is sent, and then the end of the connection. */
function upTo(sent: Buffer, bytesBefore: number, more: Partial<PackageStream> = {}): Part {
  return () => {
    const upstream = new Upstream(sent.subarray(0, bytesBefore));
    upstream.send();
    return upstream.answer({ length: sent.length, etag: TAG, ...more });
  };
}
/** Of an answer in chunks. */
const UNKNOWN = { etag: undefined, length: undefined };
const whole = (sent: Buffer, more?: Partial<PackageStream>): Part => upTo(sent, sent.length, more);
const restOf = (sent: Buffer, more: Partial<PackageStream> = {}): Part => {
  return (rest) => {
    const offset = rest?.offset ?? 0;
    return Upstream.whole(sent.subarray(offset)).answer({ length: sent.length, etag: TAG, offset, ...more });
  };
};

const failing = (code: NuGetErrorCode): Part => {
  return () => {
    throw new SourceError(code, 'feed', 'no');
  };
};
const DOWN = failing('SOURCE_UNAVAILABLE');
const REFUSES = failing('FORBIDDEN');
const NO_PARTS = failing('PROTOCOL');

describe('a package that breaks off', () => {
  it('goes on where it broke off, and nobody who gets it notices', async () => {
    await using t = await StoreUnderTest.open();
    const first = new Upstream(bytes);
    const source = new Source(() => first.answer({ etag: TAG }), restOf(bytes));
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(300 * KIB);
    const content = await fetching;
    const clients = [
      new Client(content),
      new Client(await t.store.fetch('feed', A, source.open), { offset: 250 * KIB }),
    ];
    await until(() => clients[0]?.received === 300 * KIB);
    first.body.destroy(new Error('read ECONNRESET'));
    expectBytes(await clients[0]?.whole, bytes);
    expectBytes(await clients[1]?.whole, bytes.subarray(250 * KIB));
    expect(source.asked).toEqual([undefined, { offset: 300 * KIB, etag: TAG }]);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, bytes);
    expect(t.counted).toContain('download success');
    expect(t.logs.filter((line) => /again/.test(line))).toEqual([
      expect.stringMatching(
        /^information: Asking feed again for Contoso.A 1.0.0: .* broke off after 307200 of \d+ bytes$/,
      ),
    ]);
    expect(t.time.pending).toBe(0);
  });

  it.each([
    ['gives the whole again', { etag: TAG }],
    ['has no strong validator', { etag: undefined }],
    ['has not said how long it is', { etag: undefined, length: undefined }],
  ])('goes on when the source %s: what comes twice is compared', async (_, more) => {
    await using t = await StoreUnderTest.open();
    const first = new Upstream(bytes);
    const source = new Source(() => first.answer(more), whole(bytes, more));
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(500 * KIB);
    const client = new Client(await fetching);
    // Where its end isn't known, it may be near.
    const given = 'length' in more ? 436 * KIB : 500 * KIB;
    await until(() => client.received === given);
    first.body.destroy(new Error('read ECONNRESET'));
    expectBytes(await client.whole, bytes);
    expect(source.asked).toEqual([undefined, more.etag && { offset: 500 * KIB, etag: TAG }]);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, bytes);
  });

  it('goes on when the source starts again, and can not be reached meanwhile', async () => {
    await using t = await StoreUnderTest.open();
    const source = new Source(upTo(bytes, 300 * KIB), DOWN, DOWN, restOf(bytes));
    const client = new Client(await t.store.fetch('feed', A, source.open));
    await until(() => source.asked.length === 2);
    await t.time.advance(750);
    expectBytes(await client.whole, bytes);
    expect(source.asked).toEqual([undefined, ...Array(3).fill({ offset: 300 * KIB, etag: TAG })]);
    expect(t.time.pending).toBe(0);
  });

  it('waits for some seconds for a source that stays away, and for none that says it takes longer', async () => {
    const resting = () => {
      throw Object.assign(new Error('the circuit is open'), { code: 'CIRCUIT_OPEN', retryAfterMs: 5001 });
    };
    for (const [part, asked] of [[DOWN, 7] as const, [resting, 2] as const]) {
      await using t = await StoreUnderTest.open();
      const source = new Source(upTo(bytes, 300 * KIB), ...Array<Part>(20).fill(part));
      const client = new Client(await t.store.fetch('feed', A, source.open));
      const failed = expect(client.whole).rejects.toThrow(/broke off after 307200 of/);
      await until(() => source.asked.length === 2);
      await t.time.advance(10_000);
      await failed;
      expect(source.asked).toHaveLength(asked);
      expect(t.time.pending).toBe(0);
    }
  });

  it('is asked for as a whole where the source gives no parts', async () => {
    await using t = await StoreUnderTest.open();
    const source = new Source(upTo(bytes, 300 * KIB), NO_PARTS, whole(bytes));
    const client = new Client(await t.store.fetch('feed', A, source.open));
    expectBytes(await client.whole, bytes);
    expect(source.asked).toEqual([undefined, { offset: 300 * KIB, etag: TAG }, undefined]);
  });

  it('goes on twice, each time from where it is', async () => {
    await using t = await StoreUnderTest.open();
    const source = new Source(
      upTo(bytes, 300 * KIB),
      // Breaks off before it has come as far as the first.
      upTo(bytes, 200 * KIB),
      restOf(bytes),
    );
    expectBytes(await new Client(await t.store.fetch('feed', A, source.open)).whole, bytes);
    expect(source.asked.map((rest) => rest?.offset)).toEqual([undefined, 300 * KIB, 300 * KIB]);
  });

  it('is asked for again from its start when nothing of it had come', async () => {
    await using t = await StoreUnderTest.open();
    const source = new Source(upTo(bytes, 0), whole(bytes));
    expectBytes(await new Client(await t.store.fetch('feed', A, source.open)).whole, bytes);
    expect(source.asked).toEqual([undefined, undefined]);
  });

  it('that falls silent is asked for again', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: 1000 });
    const first = new Upstream(bytes);
    const source = new Source(() => first.answer({ etag: TAG }), restOf(bytes));
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(300 * KIB);
    const client = new Client(await fetching);
    await until(() => client.received === 300 * KIB);
    await t.time.advance(1250);
    expectBytes(await client.whole, bytes);
  });

  it('that falls silent a second time is given up, whatever came in between', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: (source) => (source === 'feed' ? 1000 : 60_000) });
    const [first, second] = [new Upstream(bytes), new Upstream(bytes)];
    const source = new Source(
      () => first.answer({ etag: TAG }),
      () => second.answer({ etag: TAG }),
      restOf(bytes),
    );
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(300 * KIB);
    const client = new Client(await fetching);
    await until(() => client.received === 300 * KIB);
    await t.time.advance(1250);
    await until(() => source.given.length === 2);
    second.send(400 * KIB);
    await until(() => client.received === 400 * KIB);
    await t.time.advance(1250);
    await expect(client.whole).rejects.toMatchObject({ message: expect.stringMatching(/sent nothing for 1000 ms$/) });
    expect(source.asked).toHaveLength(2);
    expect(second.body.destroyed).toBe(true);
    expect(t.time.pending).toBe(0);
  });

  it('that falls silent is given up the second time, too, when its client has noticed first', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: 1000 });
    const [first, second] = [new Upstream(bytes), new Upstream(bytes)];
    const source = new Source(
      () => first.answer(),
      () => second.answer(),
      whole(bytes),
    );
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(300 * KIB);
    const client = new Client(await fetching);
    await until(() => client.received === 300 * KIB);
    await t.time.advance(1000);
    first.body.destroy(new Error('body timeout'));
    await until(() => source.given.length === 2);
    await t.time.advance(990);
    expect(second.body.destroyed).toBe(false);
    second.body.destroy(new Error('body timeout'));
    await expect(client.whole).rejects.toMatchObject({ message: expect.stringMatching(/broke off after 307200 of/) });
    expect(source.asked).toHaveLength(2);
  });

  it('is not waited for longer when the source does not even answer any more', async () => {
    await using t = await StoreUnderTest.open({ idleTimeoutMs: 1000 });
    const first = new Upstream(bytes);
    const late = Upstream.whole(bytes);
    let answer = (_: PackageStream) => {};
    const signals: AbortSignal[] = [];
    const open = async (signal: AbortSignal) => {
      signals.push(signal);
      if (signals.length === 1) return first.answer();
      return new Promise<PackageStream>((resolve) => {
        answer = resolve;
      });
    };
    const fetching = t.store.fetch('feed', A, open);
    first.send(300 * KIB);
    const client = new Client(await fetching);
    await until(() => client.received === 300 * KIB);
    first.body.destroy(new Error('read ECONNRESET'));
    await until(() => signals.length === 2);
    await t.time.advance(1250);
    await expect(client.whole).rejects.toMatchObject({ message: expect.stringMatching(/broke off after 307200 of/) });
    expect(signals[1]?.aborted).toBe(true);
    answer(late.answer());
    await until(() => late.body.destroyed);
    expect(t.time.pending).toBe(0);
  });

  it.each([
    ['in its middle', 500 * KIB],
    ['a byte before its end', bytes.length - 1],
  ])('is asked for again when it ends %s, though nobody said how long it is', async (_, end) => {
    await using t = await StoreUnderTest.open();
    const source = new Source(upTo(bytes, end, UNKNOWN), upTo(bytes, 600 * KIB, UNKNOWN), whole(bytes, UNKNOWN));
    expectBytes(await new Client(await t.store.fetch('feed', A, source.open)).whole, bytes);
    expect(source.asked).toEqual([undefined, undefined, undefined]);
    expectBytes(await new Client(await t.store.find('feed', A)).whole, bytes);
    expect(t.logs.filter((line) => /again/.test(line))).toHaveLength(2);
  });

  it.each<[string, Part[], RegExp]>([
    [
      'ends too early each time, and nobody said how long it is',
      Array<Part>(9).fill(upTo(bytes, 300 * KIB, UNKNOWN)),
      /broke off after 307200 bytes$/,
    ],
    ['breaks off each time', Array<Part>(9).fill(upTo(bytes, 300 * KIB)), /broke off after 307200 of \d+ bytes$/],
    ['is not there any more', [upTo(bytes, 300 * KIB), () => undefined], /broke off after 307200 of/],
    ['refuses to be asked again', [upTo(bytes, 300 * KIB), REFUSES], /broke off after 307200 of/],
    ['gives neither the rest nor the whole', [upTo(bytes, 300 * KIB), NO_PARTS, NO_PARTS], /broke off after 307200 of/],
    ['is another one by now', [upTo(bytes, 300 * KIB), whole(another)], /became another one/],
    ['has another length by now', [upTo(bytes, 300 * KIB), whole(bytes.subarray(0, -1))], /became another one/],
    [
      'comes in another part than was asked for',
      [upTo(bytes, 300 * KIB), restOf(bytes, { offset: 200 * KIB })],
      /became another one/,
    ],
    ['is part of another one', [upTo(bytes, 300 * KIB), restOf(another, { etag: '"other"' })], /became another one/],
    [
      'ends before it comes to what is new',
      [
        upTo(bytes, 300 * KIB, { etag: undefined }),
        ...Array<Part>(9).fill(upTo(bytes, 200 * KIB, { length: undefined })),
      ],
      /broke off after 307200 of/,
    ],
  ])('is never stored, nor given as a whole, when it %s', async (_, parts, says) => {
    await using t = await StoreUnderTest.open();
    const source = new Source(...parts);
    const client = new Client(await t.store.fetch('feed', A, source.open));
    await expect(client.whole).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringMatching(says),
    });
    expect(client.received).toBeLessThanOrEqual(300 * KIB);
    expect(source.asked.length).toBeLessThanOrEqual(3);
    expect(await t.store.find('feed', A)).toBeUndefined();
    expect(source.given.every(({ body }) => body.destroyed)).toBe(true);
    await until(() => t.incoming().length === 0);
    expect(t.disk.stats()).toMatchObject({ blobs: 0, actionResults: 0 });
    expect(t.time.pending).toBe(0);
  });

  it('whose rest is that of another one with the same tag is refused at its end', async () => {
    await using t = await StoreUnderTest.open();
    const hash = { algorithm: 'SHA512', value: createHash('sha512').update(bytes).digest('base64') };
    const source = new Source(upTo(bytes, 300 * KIB, { hash }), restOf(packageOf('Contoso.A', 700 * KIB)));
    const client = new Client(await t.store.fetch('feed', A, source.open));
    await expect(client.whole).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(client.received).toBeLessThan(bytes.length);
    expect(await t.store.find('feed', A)).toBeUndefined();
  });

  it('is not asked for again when nobody waits any more and little of it is here', async () => {
    await using t = await StoreUnderTest.open();
    const large = packageOf('Contoso.A', 12 * KIB * KIB);
    const first = new Upstream(large);
    const source = new Source(() => first.answer({ etag: TAG }));
    const fetching = t.store.fetch('feed', A, source.open);
    first.send(KIB * KIB);
    const client = new Client(await fetching);
    await until(() => client.received === KIB * KIB);
    client.stream.destroy();
    first.body.destroy(new Error('read ECONNRESET'));
    await until(() => t.store.arriving === 0);
    await quiet();
    expect(source.asked).toHaveLength(1);
  });
});

describe('a package with a hash in its answer', () => {
  it.each(['SHA512', 'SHA-256', 'SHA1', 'md5'])('is what that says: %s', async (algorithm) => {
    await using t = await StoreUnderTest.open();
    const hashOf = (of: Buffer) => ({
      algorithm,
      value: createHash(algorithm.replace('-', '')).update(of).digest('base64'),
    });
    const answer = (hash: PackageStream['hash']) => async () => Upstream.whole(bytes).answer({ hash });
    const refused = new Client(await t.store.fetch('feed', A, answer(hashOf(another))));
    await expect(refused.whole).rejects.toMatchObject({
      code: 'INVALID_PACKAGE',
      message: expect.stringContaining(`has the ${algorithm} hash ${hashOf(bytes).value}, not `),
    });
    expect(refused.received).toBeLessThan(bytes.length);
    expect(await t.store.find('feed', A)).toBeUndefined();
    expectBytes(await new Client(await t.store.fetch('feed', A, answer(hashOf(bytes)))).whole, bytes);
  });

  it('of a kind that nobody knows is taken as it is', async () => {
    await using t = await StoreUnderTest.open();
    const hash = { algorithm: 'WHIRLPOOL-9', value: 'AAAA' };
    const content = await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer({ hash }));
    expectBytes(await new Client(content).whole, bytes);
  });
});
