import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheClient, type NamedBlob } from '../grpc-client.js';
import { startServer } from '../server.js';
import { PEERS, type Peer } from './peers.js';

const MIB = 1024 * 1024;
/** One for batches, one for streams, one of many messages. */
const SIZES = [100, 300_000, 5 * MIB];
const BACK_MS = 30_000;

function blobOf(size: number): NamedBlob {
  const data = randomBytes(size);
  // Half of it can be compressed.
  data.fill('granary ', Math.ceil(size / 2));
  return { data, hash: hashOf(data) };
}

function hashOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** What a client without Granary gets. */
async function readDirectly(at: Peer['tier'], hash: string, size: number): Promise<Buffer> {
  if (at.type === 'http') {
    const answer = await fetch(`${at.url}/cas/${hash}`);
    expect(answer.status).toBe(200);
    return Buffer.from(await answer.arrayBuffer());
  }
  const client = new CacheClient(Number(at.target.split(':')[1]));
  try {
    return await client.read(hash, size);
  } finally {
    client.close();
  }
}

for (const { name, missing } of PEERS)
  if (missing) console.log(`Skipped: ${name} behind a server, because ${missing}.`);

// A file without any test would have failed.
describe.skip.each(PEERS.filter(({ missing }) => missing))('a server in front of $name', () => {
  it('reads and writes through it', () => {});
});

describe.each(PEERS.filter(({ missing }) => !missing))('a server in front of $name', ({ start }) => {
  let scratch: string;
  let peer: Peer;
  /** Two that have nothing on their own disks; what the second knows, it has from the peer. */
  let writer: CacheClient;
  let reader: CacheClient;
  const ended: (() => PromiseLike<unknown>)[] = [];

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'granary-peers-'));
    ended.push(() => rm(scratch, { recursive: true, force: true }));
    peer = await start();
    ended.push(() => peer[Symbol.asyncDispose]());
    [writer, reader] = await Promise.all([server('writer'), server('reader')]);
  });
  afterAll(async () => {
    for (const end of ended.reverse()) await end();
  });

  async function server(folder: string): Promise<CacheClient> {
    const patience = { retries: 0, timeout: '60s', attempt_timeout: '30s', rest: '100ms' };
    const tier = { ...peer.tier, ...patience, name: 'peer', mode: 'write-through' };
    const running = await startServer(join(scratch, folder), '--tiers', JSON.stringify([tier]));
    const client = new CacheClient(running.grpcPort);
    ended.push(async () => {
      client.close();
      await running.stop();
    });
    return client;
  }

  const put = async (client: CacheClient, blob: NamedBlob) => {
    if (blob.data.length < MIB) expect(await client.batchUpdate([blob])).toEqual([blob.hash]);
    else await client.write(blob, randomUUID());
  };
  const missingOf = async (client: CacheClient, blobs: readonly NamedBlob[]) => [
    ...(await client.findMissing(blobs.map(({ hash, data }) => ({ hash, size: data.length })))),
  ];
  const action = () => hashOf(randomBytes(20));

  it('brings there what it is given, and gives others what is there', async () => {
    const blobs = SIZES.map(blobOf);
    const absent = blobOf(10);
    for (const blob of blobs) await put(writer, blob);
    expect(await missingOf(reader, [...blobs, absent])).toEqual([absent.hash]);
    for (const { hash, data } of blobs) {
      expect((await reader.read(hash, data.length)).equals(data)).toBe(true);
      expect((await readDirectly(peer.tier, hash, data.length)).equals(data)).toBe(true);
    }
    await expect(reader.read(absent.hash, 10)).rejects.toMatchObject({
      details: expect.stringMatching(/not|missing/i),
    });
  });

  it('does the same with many small blobs at once', async () => {
    const blobs = Array.from({ length: 500 }, (_, i) => blobOf(i + 1));
    expect(await writer.batchUpdate(blobs)).toHaveLength(500);
    expect(await missingOf(reader, blobs)).toEqual([]);
    const contents = await Promise.all(blobs.map(({ hash, data }) => reader.read(hash, data.length)));
    expect(contents.every((content, i) => content.equals(blobs[i]!.data))).toBe(true);
  });

  it('shares action results', async () => {
    const [known, unknown] = [action(), action()];
    await writer.updateActionResult(known, 20, Buffer.from('what it printed'));
    expect(await reader.hasActionResult(known, 20)).toBe(true);
    expect(await reader.hasActionResult(unknown, 20)).toBe(false);
  });

  it('goes on without it when it was killed, and uses it again by itself', async () => {
    const [before, during] = [blobOf(2000), blobOf(2000)];
    await put(writer, before);
    await peer.kill();
    expect(await missingOf(reader, [before])).toEqual([before.hash]);
    expect(await reader.hasActionResult(action(), 20)).toBe(false);
    await put(reader, during);
    expect((await reader.read(during.hash, 2000)).equals(during.data)).toBe(true);
    await peer.restart();
    const readBefore = () => reader.read(before.hash, 2000).catch(() => undefined);
    await expect.poll(readBefore, { timeout: BACK_MS }).toEqual(before.data);
    const after = blobOf(2000);
    await put(reader, after);
    await expect.poll(() => missingOf(writer, [after]), { timeout: BACK_MS }).toEqual([]);
  });
});
