import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CacheClient, type NamedBlob } from './grpc-client.js';
import { startServer } from './server.js';

const KILLS = 20;
const UPLOADERS = 8;
const LARGEST = 192 * 1024;
const SMALL = 8192;
/** What is read at once: far below the 4 MiB of a message. */
const BATCH = 200;
const LONGEST_LIFE_MS = 400;

let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'granary-kill-'));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it(`loses nothing that was committed and serves no wrong byte, killed ${KILLS} times under load`, async () => {
  /** Sizes of the blobs whose upload was acknowledged, and of those that were on their way. */
  const committed = new Map<string, number>();
  const begun = new Map<string, number>();
  /** Those begun since the last kill: the ones that it may have damaged. */
  const latest = new Set<string>();

  for (let kill = 0; kill < KILLS; kill++) {
    const server = await startServer(join(scratch, 'store'));
    const client = new CacheClient(server.grpcPort);
    await expectWhole(client, committed, begun, latest);
    latest.clear();

    const before = committed.size;
    const known = new Set(begun.keys());
    const life = 50 + Math.random() * LONGEST_LIFE_MS;
    const uploads = Array.from({ length: UPLOADERS }, (_, i) => upload(client, i % 2 === 0, begun, committed));
    await sleep(life);
    // A server that had no time to commit anything would prove nothing.
    while (committed.size === before) await sleep(10);
    await server.kill();
    client.close();
    await Promise.all(uploads);
    for (const hash of begun.keys()) if (!known.has(hash)) latest.add(hash);
  }

  const server = await startServer(join(scratch, 'store'));
  const client = new CacheClient(server.grpcPort);
  await expectWhole(client, committed, begun, new Set(begun.keys()));
  client.close();
  expect(await server.stop()).toBe(0);
  expect(committed.size).toBeGreaterThan(KILLS);
});

/** Uploads, in batches or as streams, until the server is gone. */
async function upload(
  client: CacheClient,
  inBatches: boolean,
  begun: Map<string, number>,
  committed: Map<string, number>,
): Promise<void> {
  for (;;) {
    const blobs = Array.from({ length: inBatches ? 20 : 1 }, () => randomBlob(inBatches ? SMALL : LARGEST));
    for (const { hash, data } of blobs) begun.set(hash, data.length);
    try {
      if (inBatches) for (const hash of await client.batchUpdate(blobs)) committed.set(hash, begun.get(hash) ?? 0);
      else for (const blob of blobs) await client.write(blob, randomUUID()).then(() => keep(blob, committed));
    } catch {
      return; // The connection broke: nobody was told that this upload is safe.
    }
  }
}

function keep({ hash, data }: NamedBlob, committed: Map<string, number>): void {
  committed.set(hash, data.length);
}

async function expectWhole(
  client: CacheClient,
  committed: ReadonlyMap<string, number>,
  begun: ReadonlyMap<string, number>,
  toRead: ReadonlySet<string>,
): Promise<void> {
  const all = [...begun].map(([hash, size]) => ({ hash, size }));
  const missing = new Set<string>();
  for (let i = 0; i < all.length; i += 1000) {
    for (const hash of await client.findMissing(all.slice(i, i + 1000))) missing.add(hash);
  }
  expect([...committed.keys()].filter((hash) => missing.has(hash))).toEqual([]);
  // What was on its way may be there or not; if it is, it is whole.
  const there = all.filter(({ hash }) => toRead.has(hash) && !missing.has(hash));
  for (const { hash, size } of there.filter((blob) => blob.size > SMALL)) {
    expectRight(hash, await client.read(hash, size));
  }
  const small = there.filter(({ size }) => size <= SMALL);
  for (let i = 0; i < small.length; i += BATCH) {
    const batch = small.slice(i, i + BATCH);
    const read = await client.batchRead(batch);
    for (const { hash } of batch) expectRight(hash, read.get(hash));
  }
}

function expectRight(hash: string, data: Uint8Array | undefined): void {
  if (!data) throw new Error(`${hash} was there a moment ago and can't be read`);
  if (sha256(data) !== hash) throw new Error(`${hash} was served with ${data.length} wrong bytes`);
}

function randomBlob(largest: number): NamedBlob {
  const data = randomBytes(1 + Math.floor(Math.random() * largest));
  return { hash: sha256(data), data };
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
