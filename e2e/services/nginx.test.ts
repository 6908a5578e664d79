import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ActionResultStore,
  actionKey,
  type BlobStore,
  DIGEST_FUNCTIONS,
  Digest,
  type SizeLookup,
} from '@granary/blobs';
import { actionResultStoreContract, blobStoreContract } from '@granary/blobs/contract';
import { HttpTier } from '@granary/blobs/http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PEERS, type Peer } from './peers.js';

const nginx = PEERS.find(({ name }) => name.startsWith('nginx'));

describe.skipIf(nginx?.missing !== undefined)('a tier in a folder of nginx', () => {
  let peer: Peer;
  let tiers = 0;
  beforeAll(async () => {
    if (nginx) peer = await nginx.start();
  });
  afterAll(() => peer?.[Symbol.asyncDispose]());

  /** Each has a prefix of its own, so that it is empty. */
  function open(): { tier: HttpTier; prefix: string } {
    if (peer.tier.type !== 'http') throw new Error('nginx speaks HTTP');
    const prefix = `tier-${tiers++}`;
    const url = `${peer.tier.url}/${prefix}`;
    const tier = new HttpTier({
      name: 'nginx',
      mode: 'write-through',
      url,
      proxy: false,
      digestFunctions: DIGEST_FUNCTIONS,
    });
    return { tier, prefix };
  }

  /** The protocol has no call to delete anything. */
  const remove = (...path: string[]) =>
    rm(join(peer.folder, 'files', ...path)).then(
      () => true,
      () => false,
    );

  /** A part of an instance's name is a folder here, so that it can't have thousands of characters. */
  const runner = {
    describe,
    it: (name: string, body: () => Promise<void>) => {
      if (name !== 'keeps instances and actions apart, whatever their names') it(name, body);
    },
    expect,
  };
  blobStoreContract(runner, 'HttpTier.blobs in nginx', async () => {
    const { tier, prefix } = open();
    const { blobs, sizes } = tier;
    const store: BlobStore & SizeLookup = {
      name: blobs.name,
      findMissing: blobs.findMissing.bind(blobs),
      get: blobs.get.bind(blobs),
      read: blobs.read.bind(blobs),
      write: blobs.write.bind(blobs),
      close: blobs.close.bind(blobs),
      sizeOf: sizes.sizeOf.bind(sizes),
      delete: (digest) => remove(prefix, 'cas', digest.hash),
    };
    return { store, dispose: () => tier.close() };
  });

  actionResultStoreContract(runner, 'HttpTier.actionResults in nginx', async () => {
    const { tier, prefix } = open();
    const { actionResults } = tier;
    const store: ActionResultStore = {
      name: actionResults.name,
      get: actionResults.get.bind(actionResults),
      set: actionResults.set.bind(actionResults),
      close: actionResults.close.bind(actionResults),
      delete: async (key) => remove(prefix, 'ac', key.split('/')[1] ?? ''),
    };
    return { store, dispose: () => tier.close() };
  });

  it('keeps nothing of an upload that turns out wrong or breaks off', async () => {
    const { tier } = open();
    const bytes = Buffer.alloc(3_000_000, 'some text; ');
    const digest = Digest.of('sha256', bytes);
    const wrong = async function* () {
      yield bytes.subarray(0, -1);
      yield Buffer.from('!');
    };
    const breaking = async function* () {
      yield bytes.subarray(0, 2_000_000);
      throw new Error('the client went away');
    };
    await expect(tier.blobs.write(digest, wrong())).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(tier.blobs.write(digest, breaking())).rejects.toThrow('the client went away');
    expect(await tier.blobs.findMissing([digest])).toEqual([digest]);
    await tier.close();
  });

  it('keeps results of instances apart', async () => {
    const { tier } = open();
    const action = { function: 'sha256', hash: 'ab'.repeat(32) } as const;
    const keys = ['', 'main', 'main/sub', 'ünï', 'x'.repeat(255)].map((instance) => actionKey(instance, action));
    for (const [i, key] of keys.entries()) await tier.actionResults.set(key, Buffer.from(`result ${i}`));
    for (const [i, key] of keys.entries()) expect(String(await tier.actionResults.get(key))).toBe(`result ${i}`);
    await tier.close();
  });

  it('gives blobs from any offset', async () => {
    const { tier } = open();
    const bytes = Buffer.alloc(3_000_000, 'some text; ');
    const digest = Digest.of('sha256', bytes);
    await tier.blobs.write(digest, bytes);
    const parts: Buffer[] = [];
    for await (const chunk of (await tier.blobs.read(digest, { offset: 1_000_003 })) ?? [])
      parts.push(Buffer.from(chunk));
    expect(Buffer.concat(parts).equals(bytes.subarray(1_000_003))).toBe(true);
    await tier.close();
  });
});
