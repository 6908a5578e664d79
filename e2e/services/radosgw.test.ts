import {
  CreateBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { Digest, DigestMismatchError } from '@granary/blobs';
import { actionResultStoreContract, blobStoreContract } from '@granary/blobs/contract';
import { S3Tier, type S3TierOptions } from '@granary/blobs/s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInstalled } from '../command.js';
import { CEPH_PROGRAMS, type Radosgw, startRadosgw } from './radosgw.js';

const MIB = 1024 * 1024;
const BUCKET = 'granary';

const installed = await Promise.all(CEPH_PROGRAMS.map(isInstalled));
const missing = CEPH_PROGRAMS.filter((_, i) => !installed[i]);
if (missing.length > 0) console.log(`Skipped: Ceph's gateway, because ${missing.join(', ')} is not installed.`);

describe.skipIf(missing.length > 0)("a tier in a bucket of Ceph's gateway", () => {
  let gateway: Radosgw;
  let client: S3Client;
  let tiers = 0;

  beforeAll(async () => {
    gateway = await startRadosgw();
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    const credentials = { accessKeyId, secretAccessKey };
    client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  afterAll(async () => {
    client?.destroy();
    await gateway?.[Symbol.asyncDispose]();
  });

  /** Each has a prefix of its own, so that it is empty. */
  function open(options: Partial<S3TierOptions> = {}): S3Tier {
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    const credentials = { accessKeyId, secretAccessKey };
    const prefix = `tier-${tiers++}`;
    return new S3Tier({
      name: 'ceph',
      mode: 'write-through',
      bucket: BUCKET,
      prefix,
      endpoint,
      credentials,
      ...options,
    });
  }

  const contents = (size: number) => {
    const bytes = Buffer.alloc(size, `${size} bytes; `);
    return { bytes, digest: Digest.of('sha256', bytes) };
  };

  async function* chunks(bytes: Buffer) {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  }

  const uploadsUnderWay = async () =>
    (await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))).Uploads ?? [];

  const runner = { describe, it, expect };
  blobStoreContract(runner, 'S3Tier.blobs in Ceph', async () => {
    const tier = open();
    return { store: tier.blobs, dispose: () => tier.close() };
  });
  actionResultStoreContract(runner, 'S3Tier.actionResults in Ceph', async () => {
    const tier = open();
    return { store: tier.actionResults, dispose: () => tier.close() };
  });

  it('takes large blobs in parts, and gives them back from any offset', async () => {
    await using tier = open({ partBytes: 5 * MIB });
    const { bytes, digest } = contents(17 * MIB + 5);
    await tier.blobs.write(digest, chunks(bytes));
    expect((await tier.blobs.get(digest))?.equals(bytes)).toBe(true);
    const reader = await tier.blobs.read(digest, { offset: 12 * MIB });
    const parts: Buffer[] = [];
    for await (const chunk of reader ?? []) parts.push(Buffer.from(chunk));
    expect(Buffer.concat(parts).equals(bytes.subarray(12 * MIB))).toBe(true);
    expect(await uploadsUnderWay()).toEqual([]);
  });

  it('leaves nothing of an upload that turns out wrong, breaks off or is aborted', async () => {
    const prefix = `tier-${tiers++}`;
    const tier = open({ partBytes: 5 * MIB, prefix });
    const { bytes, digest } = contents(12 * MIB);
    const wrong = Buffer.from(bytes);
    wrong[wrong.length - 1] = 0;
    await expect(tier.blobs.write(digest, chunks(wrong))).rejects.toBeInstanceOf(DigestMismatchError);
    const breaking = async function* () {
      yield bytes.subarray(0, 11 * MIB);
      throw new Error('the client went away');
    };
    await expect(tier.blobs.write(digest, breaking())).rejects.toThrow('the client went away');
    const abort = new AbortController();
    const silent = async function* () {
      yield bytes.subarray(0, 11 * MIB);
      setTimeout(() => abort.abort(new Error('too late')), 50);
      await new Promise(() => {});
    };
    await expect(tier.blobs.write(digest, silent(), { signal: abort.signal })).rejects.toThrow('too late');
    expect(await tier.blobs.findMissing([digest])).toEqual([digest]);
    await tier.close();
    expect(await uploadsUnderWay()).toEqual([]);
    expect((await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix }))).KeyCount).toBe(0);
  });

  it('does not write again what is there', async () => {
    const prefix = `tier-${tiers++}`;
    await using tier = open({ prefix });
    const { bytes, digest } = contents(1000);
    await tier.blobs.write(digest, bytes);
    const object = { Bucket: BUCKET, Key: `${prefix}/cas/${digest.hash.slice(0, 2)}/${digest.hash}` };
    const before = await client.send(new HeadObjectCommand(object));
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await tier.blobs.write(digest, bytes);
    expect((await client.send(new HeadObjectCommand(object))).LastModified).toEqual(before.LastModified);
  });

  it('says what is wrong: the signature, the key, the bucket', async () => {
    const { accessKeyId, secretAccessKey } = gateway;
    const { bytes, digest } = contents(10);
    await using badSecret = open({ credentials: { accessKeyId, secretAccessKey: 'another secret' } });
    await expect(badSecret.blobs.write(digest, bytes)).rejects.toMatchObject({
      kind: 'refused',
      retryable: false,
      message: expect.stringContaining('SignatureDoesNotMatch'),
    });
    await expect(badSecret.blobs.findMissing([digest])).rejects.toMatchObject({ kind: 'refused' });
    await using badKey = open({ credentials: { accessKeyId: 'NOBODY', secretAccessKey } });
    await expect(badKey.blobs.write(digest, bytes)).rejects.toThrow('InvalidAccessKeyId');
    await using noBucket = open({ bucket: 'nowhere' });
    await expect(noBucket.blobs.write(digest, bytes)).rejects.toThrow('the bucket nowhere does not exist');
    await expect(noBucket.check(new AbortController().signal)).rejects.toThrow('the bucket nowhere does not exist');
    await using good = open();
    await good.check(new AbortController().signal);
  });
});
