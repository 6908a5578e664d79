import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { actionKey } from '../blob-store.js';
import { Digest } from '../digest.js';
import { blobOf, inChunks } from '../testing/content.js';
import type { ResolvedS3Options, S3TierOptions } from './options.js';
import type { S3Tier } from './s3-tier.js';
import { CREDENTIALS, TestBucket, type TestRequest } from './testing/test-bucket.js';

const MIB = 1024 * 1024;
const key = actionKey('', { function: 'sha256', hash: 'a'.repeat(64) });

let bucket: TestBucket;
const tiers: S3Tier[] = [];
beforeAll(async () => {
  bucket = await TestBucket.start();
});
afterEach(async () => {
  bucket.answer = undefined;
  bucket.requests.length = 0;
  await Promise.all(tiers.splice(0).map((tier) => tier.close()));
});
afterAll(() => bucket[Symbol.asyncDispose]());

/** Each has a prefix of its own, so that it is empty. */
let opened = 0;
function open(options: Partial<S3TierOptions> = {}, resolved?: Partial<ResolvedS3Options>) {
  const prefix = `tier-${opened++}`;
  const tier = bucket.tier({ prefix, ...options }, resolved);
  tiers.push(tier);
  return { tier, prefix, blobs: tier.blobs, actionResults: tier.actionResults };
}

const { bytes, digest } = blobOf(1000);
const large = blobOf(17 * MIB + 5);
const keysUnder = async (prefix: string) => (await bucket.keys()).filter((name) => name.startsWith(`${prefix}/`));
const is =
  (method: string, part = '') =>
  (request: TestRequest) =>
    request.method === method && request.url.includes(part);

describe('an error of a bucket', () => {
  it.each([
    [503, 'SlowDown', 'exhausted', true],
    [503, 'ServiceUnavailable', 'unavailable', true],
    [500, 'InternalError', 'unavailable', true],
    [429, 'TooManyRequests', 'exhausted', true],
    [507, 'InsufficientStorage', 'exhausted', true],
    [403, 'QuotaExceeded', 'exhausted', false],
    [400, 'RequestTimeout', 'timeout', true],
    [504, 'GatewayTimeout', 'timeout', true],
    [403, 'AccessDenied', 'refused', false],
    [403, 'SignatureDoesNotMatch', 'refused', false],
    [403, 'InvalidAccessKeyId', 'refused', false],
    [403, 'RequestTimeTooSkewed', 'refused', false],
    [400, 'ExpiredToken', 'refused', false],
    [301, 'PermanentRedirect', 'refused', false],
    [404, 'NoSuchBucket', 'refused', false],
    [405, 'MethodNotAllowed', 'refused', false],
    [501, 'SomethingElse', 'refused', false],
    [400, 'SomethingElse', 'invalid', false],
  ])('%i %s is %s', async (status, code, kind, retryable) => {
    const { blobs, actionResults } = open();
    bucket.answer = () => ({ status, code });
    const expected = { name: 'RemoteStoreError', kind, retryable, tier: 'bucket' };
    await expect(blobs.get(digest)).rejects.toMatchObject(expected);
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject(expected);
    await expect(actionResults.get(key)).rejects.toMatchObject(expected);
    await expect(actionResults.set(key, bytes)).rejects.toMatchObject(expected);
    // Nothing is tried twice here.
    expect(bucket.requests.length).toBe(4);
  });

  it.each([
    [400, 'EntityTooLarge', true],
    [403, 'AccessDenied', false],
  ])('%i %s says that it never takes this: %s', async (status, code, unfit) => {
    const { blobs } = open();
    bucket.answer = () => ({ status, code });
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ unfit });
  });

  it('says what was tried on what, what the store said, and how long to wait', async () => {
    const { blobs, prefix } = open();
    bucket.answer = () => ({ status: 503, code: 'SlowDown', headers: { 'retry-after': '3' } });
    await expect(blobs.get(digest)).rejects.toMatchObject({
      message: `bucket: GET ${prefix}/cas/${digest.hash.slice(0, 2)}/${digest.hash}: status 503 SlowDown: so it is`,
      retryAfterMs: 3000,
    });
    bucket.answer = () => ({ status: 301, code: 'PermanentRedirect' });
    await expect(blobs.get(digest)).rejects.toThrow('is in another region or at another endpoint');
  });

  it('does not have the request with it, nor anything secret', async () => {
    const { blobs } = open();
    bucket.answer = () => ({ status: 403, code: 'AccessDenied' });
    const error = (await blobs.write(digest, bytes).catch((reason: unknown) => reason)) as Error;
    expect(Object.keys(error.cause as object).sort()).toEqual(['$metadata', 'name']);
    expect(JSON.stringify([error, error.cause, error.message])).not.toContain(CREDENTIALS.secretAccessKey);
  });

  it('does not show credentials that the store says in its answer', async () => {
    const { blobs } = open({ credentials: { ...CREDENTIALS, sessionToken: 'a-session-token' } });
    const message = `no ${CREDENTIALS.secretAccessKey}, and again ${CREDENTIALS.secretAccessKey}, with a-session-token`;
    bucket.answer = () => ({ status: 403, code: 'InvalidToken', message });
    const error = (await blobs.write(digest, bytes).catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(/: no …, and again …, with …$/);
    expect(String(error.cause)).not.toContain('a-session-token');
  });

  it('403 means missing where that is asked for, but not for an upload', async () => {
    const { blobs } = open({ forbiddenIsMissing: true });
    bucket.answer = () => ({ status: 403, code: 'AccessDenied' });
    expect(await blobs.findMissing([digest])).toEqual([digest]);
    expect(await blobs.get(digest)).toBeUndefined();
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'refused' });
  });
});

describe('whether a bucket can be used', () => {
  it('is known by asking for it', async () => {
    const { signal } = new AbortController();
    await open().tier.check(signal);
    await expect(open({ bucket: 'nowhere' }).tier.check(signal)).rejects.toThrow('the bucket nowhere does not exist');
    bucket.answer = () => ({ status: 403 });
    await expect(open().tier.check(signal)).rejects.toMatchObject({ kind: 'refused' });
    await expect(open({ endpoint: 'http://127.0.0.1:1' }).tier.check(signal)).rejects.toMatchObject({
      kind: 'unavailable',
      retryable: true,
    });
  });

  it('is not asked when the tier is closed', async () => {
    const { tier } = open();
    await tier.close();
    await expect(tier.check(new AbortController().signal)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(bucket.requests).toEqual([]);
  });

  it('ends with the abort, even while the store is silent', async () => {
    const { tier, blobs } = open();
    bucket.answer = () => new Promise(() => {});
    const controller = new AbortController();
    const reason = new Error('gone');
    const asked = blobs.get(digest, { signal: controller.signal });
    await vi.waitFor(() => expect(bucket.requests.length).toBe(1));
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(tier.check(AbortSignal.timeout(20))).rejects.toThrow('timeout');
    await expect(blobs.get(digest, { signal: AbortSignal.timeout(20) })).rejects.toThrow('timeout');
    await expect(blobs.findMissing([digest], { signal: AbortSignal.timeout(20) })).rejects.toThrow('timeout');
    const idle = open({ idleTimeoutMs: 50 });
    await expect(idle.blobs.get(digest)).rejects.toMatchObject({ retryable: true });
  });
});

describe('what is under way', () => {
  it('ends when the tier is closed', async () => {
    const { tier, blobs, actionResults } = open();
    bucket.answer = () => new Promise(() => {});
    const calls = [
      () => blobs.get(digest),
      () => blobs.write(digest, bytes),
      () => blobs.findMissing([digest]),
      () => actionResults.get(key),
      () => actionResults.set(key, bytes),
    ];
    const asked = calls.map(async (call) => call()).map((call) => call.catch((error: unknown) => error));
    await vi.waitFor(() => expect(bucket.requests.length).toBe(asked.length));
    await tier.close();
    for (const error of await Promise.all(asked)) expect(error).toMatchObject({ code: 'STORE_CLOSED' });
  });
});

describe('credentials', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('are those of the environment where none are given', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDENVIRONMENT');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-the-environment');
    vi.stubEnv('AWS_SESSION_TOKEN', 'token-of-the-environment');
    bucket.answer = () => ({ status: 404 });
    expect(await open({ credentials: undefined }).blobs.get(digest)).toBeUndefined();
    expect(bucket.requests[0]?.headers).toMatchObject({
      authorization: expect.stringContaining('AKIDENVIRONMENT'),
      'x-amz-security-token': 'token-of-the-environment',
    });
  });

  it('are sent with the token of their session', async () => {
    bucket.answer = () => ({ status: 404 });
    const { blobs } = open({ credentials: { ...CREDENTIALS, sessionToken: 'token' } });
    expect(await blobs.get(digest)).toBeUndefined();
    expect(bucket.requests[0]?.headers).toMatchObject({
      authorization: expect.stringContaining(CREDENTIALS.accessKeyId),
      'x-amz-security-token': 'token',
    });
  });
});

describe('a blob in a bucket', () => {
  it('lies where bazel-remote looks for it, others under the name of their function', async () => {
    const { blobs, actionResults, prefix } = open({ prefix: '/a/b/' });
    const blake = Digest.of('blake3', bytes);
    await blobs.write(digest, bytes);
    await blobs.write(blake, bytes);
    await actionResults.set(key, bytes);
    expect(prefix).toBeDefined();
    expect((await keysUnder('a/b')).sort()).toEqual(
      [
        `a/b/ac/aa/${'a'.repeat(64)}`,
        `a/b/cas/${digest.hash.slice(0, 2)}/${digest.hash}`,
        `a/b/cas/blake3/${blake.hash.slice(0, 2)}/${blake.hash}`,
      ].sort(),
    );
  });

  it('is encrypted as the options say', async () => {
    for (const [encryption, expected] of [
      ['sse-s3', { 'x-amz-server-side-encryption': 'AES256' }],
      [
        { kmsKeyId: 'k' },
        { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'k' },
      ],
      [{}, { 'x-amz-server-side-encryption': 'aws:kms' }],
    ] as const) {
      const { blobs } = open({ encryption, partBytes: 5 * MIB });
      await blobs.write(digest, bytes);
      await blobs.write(large.digest, inChunks(large.bytes, MIB));
      const written = bucket.requests.filter((one) => is('PUT')(one) && !one.url.includes('partNumber'));
      for (const request of [...written, ...bucket.requests.filter(is('POST', 'uploads'))])
        expect(request.headers).toMatchObject(expected);
      bucket.requests.length = 0;
    }
  });

  it('that is there already is a success, unless it has another size', async () => {
    const { blobs } = open();
    await blobs.write(digest, bytes);
    bucket.answer = (request) =>
      request.headers['if-none-match'] ? { status: 412, code: 'PreconditionFailed' } : undefined;
    await blobs.write(digest, bytes);
    expect(bucket.requests.at(-1)?.method).toBe('HEAD');
    const other = blobOf(5);
    await blobs.write(other.digest, other.bytes);
    expect(await blobs.get(other.digest)).toEqual(other.bytes);
  });

  it('is removed when it was delivered damaged and is so', async () => {
    const { tier, blobs, prefix } = open();
    await blobs.write(digest, bytes);
    const [name = ''] = await keysUnder(prefix);
    await bucket.put(name, Buffer.alloc(1000));
    tier.onDamaged(digest);
    await vi.waitFor(async () => expect(await blobs.findMissing([digest])).toEqual([digest]));
    await blobs.write(digest, bytes);
    expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
  });

  it('that somebody else writes at the same moment may be tried again, if it is not there by then', async () => {
    const { blobs } = open();
    bucket.answer = (request) =>
      request.headers['if-none-match'] ? { status: 409, code: 'ConditionalRequestConflict' } : undefined;
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    bucket.answer = undefined;
    await blobs.write(digest, bytes);
    bucket.answer = (request) => (is('PUT')(request) ? { status: 409, code: 'OperationAborted' } : undefined);
    await blobs.write(digest, bytes);
  });

  it('is written without the condition to a store that refuses it, which is not asked again', async () => {
    const { blobs } = open();
    bucket.answer = (request) =>
      request.headers['if-none-match'] ? { status: 501, code: 'NotImplemented' } : undefined;
    await blobs.write(digest, bytes);
    const other = blobOf(5);
    await blobs.write(other.digest, other.bytes);
    expect(bucket.requests.filter(is('PUT')).map(({ headers }) => headers['if-none-match'])).toEqual([
      '*',
      undefined,
      undefined,
    ]);
  });

  it('has no checksum with it that a store may not know', async () => {
    const { blobs } = open();
    await blobs.write(digest, bytes);
    const names = Object.keys(bucket.requests.find(is('PUT'))?.headers ?? {});
    expect(names.filter((name) => /checksum|trailer|expect/.test(name))).toEqual([]);
  });
});

describe('a large blob', () => {
  it('travels in parts, and comes back whole and in parts', async () => {
    const { tier, blobs } = open({ partBytes: 5 * MIB });
    await blobs.write(large.digest, inChunks(large.bytes, 99_999));
    expect(bucket.count('PUT', 'partNumber')).toBe(4);
    expect((await blobs.get(large.digest))?.equals(large.bytes)).toBe(true);
    const reader = await blobs.read(large.digest, { offset: 16 * MIB, limit: 10 });
    expect(Buffer.from((await reader?.next()) as Buffer)).toEqual(large.bytes.subarray(16 * MIB, 16 * MIB + 10));
    await reader?.close();
    await tier.close();
    expect(bucket.count('DELETE')).toBe(0);
  });

  it('takes no more memory than the budget, and no more parts at a time than are allowed', async () => {
    let [running, most, taken, mostTaken] = [0, 0, 0, 0];
    bucket.answer = async (request) => {
      if (!is('PUT', 'partNumber')(request)) return undefined;
      const length = Number(request.headers['content-length']);
      most = Math.max(most, ++running);
      taken += length;
      mostTaken = Math.max(mostTaken, taken);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      taken -= length;
      return undefined;
    };
    const few = open({ partBytes: 5 * MIB, parallelParts: 2 });
    await few.blobs.write(large.digest, inChunks(large.bytes, MIB));
    expect(most).toBe(2);
    mostTaken = 0;
    const small = open({ partBytes: 5 * MIB, maxUploadBytes: 6 * MIB });
    const others = [blobOf(11 * MIB), blobOf(4 * MIB), blobOf(3 * MIB)];
    await Promise.all([large, ...others].map((one) => small.blobs.write(one.digest, inChunks(one.bytes, MIB))));
    expect(mostTaken).toBeLessThanOrEqual(6 * MIB);
    for (const one of others) expect((await small.blobs.get(one.digest))?.equals(one.bytes)).toBe(true);
  });

  const thrownAway = async (prefix: string) => {
    await expect.poll(() => bucket.count('DELETE', 'uploadId'), { timeout: 10_000 }).toBe(1);
    expect(await keysUnder(prefix)).toEqual([]);
    // All are about the same upload.
    expect(new Set(bucket.requests.flatMap(({ url }) => /uploadId=[^&]+/.exec(url) ?? [])).size).toBe(1);
    // What comes after the end of an upload would stay.
    const last = bucket.requests.findLastIndex(is('PUT', 'partNumber'));
    expect(bucket.requests.findIndex(is('DELETE', 'uploadId'))).toBeGreaterThan(last);
  };

  it('that turns out wrong leaves nothing', async () => {
    const { blobs, prefix } = open({ partBytes: 5 * MIB });
    const wrong = Buffer.from(large.bytes);
    wrong[17 * MIB] = 0;
    await expect(blobs.write(large.digest, inChunks(wrong, MIB))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await thrownAway(prefix);
  });

  it('whose part is refused leaves nothing, and its source is left at once', async () => {
    const { blobs, prefix } = open({ partBytes: 5 * MIB });
    bucket.answer = (request) => (is('PUT', 'partNumber=2')(request) ? { status: 503, code: 'SlowDown' } : undefined);
    const silent = async function* () {
      yield* inChunks(large.bytes.subarray(0, 11 * MIB), MIB);
      await new Promise(() => {});
    };
    await expect(blobs.write(large.digest, silent())).rejects.toMatchObject({ kind: 'exhausted' });
    await thrownAway(prefix);
  });

  it('whose source fails leaves nothing, though the store is silent about a part that has come', async () => {
    const { blobs, prefix } = open({ partBytes: 5 * MIB });
    bucket.answer = (request) => (is('PUT', 'partNumber')(request) ? new Promise(() => {}) : undefined);
    const breaking = async function* () {
      yield large.bytes.subarray(0, 6 * MIB);
      await vi.waitFor(() => expect(bucket.count('PUT', 'partNumber')).toBe(1));
      throw new Error('gone');
    };
    await expect(blobs.write(large.digest, breaking())).rejects.toThrow('gone');
    await thrownAway(prefix);
  });

  it('keeps no memory and no listener when it is done, or its source has failed in the middle of a part', async () => {
    const { blobs } = open({ partBytes: 5 * MIB, maxUploadBytes: 5 * MIB });
    const { signal } = new AbortController();
    const breaking = async function* () {
      yield large.bytes.subarray(0, 6 * MIB);
      throw new Error('gone');
    };
    await expect(blobs.write(large.digest, breaking(), { signal })).rejects.toThrow('gone');
    await blobs.write(large.digest, inChunks(large.bytes, MIB), { signal });
    expect((await blobs.get(large.digest))?.equals(large.bytes)).toBe(true);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('that is aborted, or whose tier is closed, leaves nothing', async () => {
    for (const end of ['abort', 'close']) {
      const { tier, blobs, prefix } = open({ partBytes: 5 * MIB });
      const abort = new AbortController();
      const silent = async function* () {
        yield* inChunks(large.bytes.subarray(0, 11 * MIB), MIB);
        setImmediate(() => (end === 'abort' ? abort.abort(new Error('the store is closed')) : void tier.close()));
        await new Promise(() => {});
      };
      await expect(blobs.write(large.digest, silent(), { signal: abort.signal })).rejects.toThrow(
        'the store is closed',
      );
      await thrownAway(prefix);
      bucket.requests.length = 0;
    }
  });

  it('that is aborted before its upload has a name leaves nothing either', async () => {
    const { tier, blobs, prefix } = open({ partBytes: 5 * MIB });
    const abort = new AbortController();
    bucket.answer = async (request) => {
      if (!is('POST', 'uploads')(request)) return undefined;
      abort.abort(new Error('too late'));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return undefined;
    };
    const writing = blobs.write(large.digest, inChunks(large.bytes, MIB), { signal: abort.signal });
    await expect(writing).rejects.toThrow('too late');
    await tier.close();
    await thrownAway(prefix);
  });

  it('that somebody else has stored meanwhile is a success, and the parts are thrown away', async () => {
    const { blobs, prefix } = open({ partBytes: 5 * MIB });
    bucket.answer = async (request) => {
      if (!is('POST', 'uploadId')(request)) return undefined;
      bucket.answer = undefined;
      await blobs.write(large.digest, inChunks(large.bytes, MIB));
      return { status: 412, code: 'PreconditionFailed' };
    };
    await blobs.write(large.digest, inChunks(large.bytes, MIB));
    await expect.poll(() => bucket.count('DELETE', 'uploadId'), { timeout: 10_000 }).toBe(1);
    expect((await keysUnder(prefix)).length).toBe(1);
  });

  it('whose parts can not be thrown away is told to the log', async () => {
    const told: unknown[][] = [];
    const warning = (...args: unknown[]) => void told.push(args);
    const logger = { warning } as unknown as NonNullable<S3TierOptions['logger']>;
    const { tier, blobs } = open({ partBytes: 5 * MIB, logger });
    bucket.answer = (request) => (is('DELETE')(request) ? { status: 500 } : undefined);
    const breaking = async function* () {
      yield large.bytes.subarray(0, 6 * MIB);
      throw new Error('gone');
    };
    await expect(blobs.write(large.digest, breaking())).rejects.toThrow('gone');
    await tier.close();
    expect(told).toMatchObject([['Parts of {Digest} may be left in {Bucket}', String(large.digest), 'cache', {}]]);
  });
});

describe('options of an S3 tier that are wrong', () => {
  it.each<[string, Partial<S3TierOptions>]>([
    ['bucket', { bucket: 'a/b' }],
    ['prefix', { prefix: 'a//b' }],
    ['prefix', { prefix: '../b' }],
    ['prefix', { prefix: 'ä' }],
    ['endpoint must be a URL', { endpoint: 's3cr3t' }],
    ['no credentials in it', { endpoint: 'http://me:s3cr3t@a' }],
    ['credentials', { credentials: { accessKeyId: '', secretAccessKey: 's3cr3t' } }],
    ['encryption', { encryption: 's3cr3t' as never }],
    ['tls.cert and tls.key', { tls: { cert: 's3cr3t' } }],
    ['partBytes', { partBytes: MIB }],
    ['maxUploadBytes', { maxUploadBytes: MIB }],
    ['connections', { connections: 0 }],
  ])('are refused: %s', (message, options) => {
    expect(() => open(options)).toThrow(message);
    expect(() => open(options)).not.toThrow('s3cr3t');
  });
});

describe('action results in a bucket', () => {
  it('are taken up to a size', async () => {
    const { actionResults } = open({ maxActionResultBytes: 10 });
    await actionResults.set(key, Buffer.alloc(11));
    await expect(actionResults.get(key)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('can be asked for until the store is closed', async () => {
    const { actionResults } = open();
    await actionResults.close();
    await expect(actionResults.get(key)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(actionResults.set(key, bytes)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(actionResults.delete(key)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
