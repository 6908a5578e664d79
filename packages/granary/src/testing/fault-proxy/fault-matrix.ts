import { setTimeout as delay } from 'node:timers/promises';
import type { BlobReader } from '@granary/blobs';
// biome-ignore lint/correctness/noUndeclaredDependencies: a table of tests that several files run at the same time
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from '../test-server.js';
import type { Fault, Point } from './fault.js';
import { clientOf, GuardedTier, readAll, type TestBlob, testBlob } from './guarded-tier.js';

const KIB = 1024;
const SMALL_BYTES = 2000;
const LARGE_BYTES = 2 * KIB * KIB;

/** Of the tier: what its requests may take. */
const TIMES = { timeout: 1000, attempt: 300, idle: 500 };
/** What a machine with other work needs on top. */
const MARGIN_MS = 3000;
const SETTINGS = {
  mode: 'write-through',
  timeout: `${TIMES.timeout}ms`,
  attempt_timeout: `${TIMES.attempt}ms`,
  idle_timeout: `${TIMES.idle}ms`,
  retries: 1,
  failures: 3,
  rest: '100ms',
  // So that calls come one after the other in one conversation.
  connections: 1,
};
/** As many as run at once. */
const LANES = 5;

/** What became of one request, which may never have wrong bytes. */
type Outcome = 'whole' | 'missing' | Error;

interface Operation {
  readonly name: string;
  readonly bytes: number;
  /** Whether the blob is in the tier before. */
  readonly reads: boolean;
  readonly budgetMs: number;
  /** Where in the bodies on their way to the tier, and back. */
  readonly middle: { readonly up: number; readonly down: number };
  /** Calls to the tier before the one that counts. */
  readonly calls?: number;
  run(lane: GuardedTier, blob: TestBlob): Promise<Outcome[]>;
}

const OPERATIONS: readonly Operation[] = [
  {
    name: 'FindMissingBlobs',
    bytes: SMALL_BYTES,
    reads: true,
    budgetMs: TIMES.timeout,
    middle: { up: 40, down: 40 },
    run: async ({ client }, { digest }) => {
      const nowhere = testBlob(SMALL_BYTES).digest;
      const missing = await client.blobs.findMissing([digest, nowhere]);
      expect(missing.map(String)).toContain(String(nowhere));
      return [missing.length === 1 ? 'whole' : 'missing'];
    },
  },
  {
    name: 'a small blob',
    bytes: SMALL_BYTES,
    reads: true,
    budgetMs: TIMES.timeout,
    middle: { up: 40, down: 1000 },
    run: async ({ client }, blob) => [outcomeOf(await client.blobs.get(blob.digest), blob)],
  },
  {
    name: 'a large blob',
    bytes: LARGE_BYTES,
    reads: true,
    budgetMs: 2 * TIMES.timeout + TIMES.idle,
    middle: { up: 40, down: LARGE_BYTES / 2 },
    run: async (lane, blob) => [await readWhole(lane, blob)],
  },
  {
    name: 'a large blob that several follow',
    bytes: LARGE_BYTES,
    reads: true,
    budgetMs: 2 * TIMES.timeout + TIMES.idle,
    middle: { up: 40, down: LARGE_BYTES / 2 },
    run: (lane, blob) => Promise.all(Array.from({ length: 4 }, () => readWhole(lane, blob).catch(asError))),
  },
  {
    name: 'a small upload',
    bytes: SMALL_BYTES,
    reads: false,
    budgetMs: 2 * TIMES.timeout,
    middle: { up: 1000, down: 90 },
    calls: 1,
    run: upload,
  },
  {
    name: 'a large upload',
    bytes: LARGE_BYTES,
    reads: false,
    budgetMs: TIMES.timeout + 2 * TIMES.attempt + 2 * TIMES.idle,
    middle: { up: LARGE_BYTES / 2, down: 80 },
    calls: 1,
    run: upload,
  },
];

const CUTS = ['reset', 'truncate', 'black-hole', 'corrupt'] as const;

/** Every fault in every position of an operation. */
function faultsOf({ middle, calls: skip = 0 }: Operation): { readonly name: string; readonly fault: Fault }[] {
  const at = (where: string, effect: Fault['effect'], point: Point, direction: 'up' | 'down') => ({
    name: `${effect.kind} in ${where}`,
    fault: { effect, point, direction },
  });
  const each = (where: string, point: Point, direction: 'up' | 'down') =>
    CUTS.map((kind) => at(where, { kind }, point, direction));
  const slow = { kind: 'bandwidth', bytesPerSecond: 8 * KIB * KIB } as const;
  const late = { kind: 'latency', ms: 40 } as const;
  return [
    { name: 'refuse at the connection', fault: { effect: { kind: 'refuse' } } },
    { name: 'half-open at the connection', fault: { effect: { kind: 'half-open' } } },
    { name: 'reset at the connection', fault: { effect: { kind: 'drop', afterMs: 0 } } },
    { name: 'reset soon after the connection', fault: { effect: { kind: 'drop', afterMs: 20 } } },
    ...each('the headers of the request', { at: 'headers', skip }, 'up'),
    ...each('the upload', { at: 'data', bytes: middle.up }, 'up'),
    ...each('the download', { at: 'data', bytes: middle.down }, 'down'),
    ...each('the trailers of the response', { at: 'trailers', skip }, 'down'),
    at('the upload', { kind: 'stall' }, { at: 'data', bytes: middle.up }, 'up'),
    at('the download', { kind: 'stall' }, { at: 'data', bytes: middle.down }, 'down'),
    at('the headers of the request', late, { at: 'headers' }, 'up'),
    at('the upload', slow, { at: 'data', bytes: middle.up }, 'up'),
    at('the download', slow, { at: 'data', bytes: middle.down }, 'down'),
  ];
}

function asError(error: unknown): Error {
  if (error instanceof Error && error.name !== 'AssertionError') return error;
  throw error;
}

function outcomeOf(got: Buffer | undefined, { bytes }: TestBlob): Outcome {
  if (!got) return 'missing';
  expect(got.equals(bytes)).toBe(true);
  return 'whole';
}

async function readWhole({ client }: GuardedTier, blob: TestBlob): Promise<Outcome> {
  const reader: BlobReader | undefined = await client.blobs.read(blob.digest);
  return outcomeOf(reader && (await readAll(reader)), blob);
}

/** What the server has taken it can give back at once, whatever its tier does. */
async function upload(lane: GuardedTier, blob: TestBlob): Promise<Outcome[]> {
  await lane.client.blobs.write(blob.digest, blob.bytes);
  return [await readWhole(lane, blob)];
}

/** Every operation with every fault, in front of a tier that is required or not. */
export function describeFaults(required: boolean): void {
  let back: TestServer;
  let backClient: ReturnType<typeof clientOf>;
  /** What each server has itself, and nobody else. */
  const owns = new Map<GuardedTier, TestBlob>();
  const lanes: GuardedTier[] = [];
  const free: GuardedTier[] = [];

  beforeAll(async () => {
    back = await startTestServer({ 'storage.max_size': '1GiB' });
    backClient = clientOf(back);
    for (let i = 0; i < LANES; i++) {
      const lane = await GuardedTier.start(back, { ...SETTINGS, required });
      const own = testBlob(300 * KIB);
      await lane.client.blobs.write(own.digest, own.bytes);
      owns.set(lane, own);
      lanes.push(lane);
      free.push(lane);
    }
  });
  afterAll(async () => {
    const open = await Promise.all(lanes.map((lane) => lane.stop()));
    await Promise.all(lanes.map((lane) => lane.proxy.close()));
    await backClient.close();
    await back[Symbol.asyncDispose]();
    expect(open).toEqual(lanes.map(() => 0));
  });

  /** Reads what is here, again and again; answers with the longest time that took. */
  async function readOwn(lane: GuardedTier, isOver: () => boolean): Promise<number> {
    const own = owns.get(lane) as TestBlob;
    let longest = 0;
    do {
      const begun = performance.now();
      expect(await readWhole(lane, own)).toBe('whole');
      longest = Math.max(longest, performance.now() - begun);
      if (!isOver()) await delay(25);
    } while (!isOver());
    return longest;
  }

  async function check(lane: GuardedTier, operation: Operation, fault: Fault): Promise<void> {
    const blob = testBlob(operation.bytes);
    const later = testBlob(SMALL_BYTES);
    await backClient.blobs.write(later.digest, later.bytes);
    if (operation.reads) await backClient.blobs.write(blob.digest, blob.bytes);

    await lane.proxy.set(fault);
    if (!fault.point) lane.proxy.resetAll();
    let isOver = false;
    const begun = performance.now();
    const running = operation
      .run(lane, blob)
      .catch((error: unknown) => [asError(error)])
      .finally(() => {
        isOver = true;
      });
    const [outcomes, longest] = await Promise.all([
      running.then((all) => ({ all, ms: performance.now() - begun })),
      readOwn(lane, () => isOver),
    ]);
    expect(lane.proxy.befallen + (fault.effect.kind === 'refuse' ? 1 : 0)).toBeGreaterThan(0);
    expect(outcomes.ms).toBeLessThan(operation.budgetMs + MARGIN_MS);
    expect(longest).toBeLessThan(MARGIN_MS);
    for (const outcome of outcomes.all) expectFair(outcome, operation, fault);

    await lane.proxy.heal();
    await vi.waitFor(async () => expect(await lane.client.blobs.get(later.digest)).toEqual(later.bytes), {
      timeout: 10_000,
      interval: 50,
    });
    const isAcknowledged = outcomes.all[0] === 'whole';
    if (operation.reads || isAcknowledged) expect(await readWhole(lane, blob)).toBe('whole');
    if (!operation.reads && isAcknowledged && required) {
      expect(await backClient.blobs.findMissing([blob.digest])).toEqual([]);
    }
    await vi.waitFor(async () => expect(await lane.leftovers()).toEqual({ reservedBytes: 0, files: [] }));
    expect(lane.proxy.connections).toBeLessThanOrEqual(2);
  }

  /** Without a tier that may be missing everything goes on; only a large blob that has begun to come can break off. */
  function expectFair(outcome: Outcome, operation: Operation, fault: Fault): void {
    if (outcome === 'whole') return;
    if (outcome === 'missing') {
      if (required) expect(fault.effect.kind).toBe('corrupt');
      return;
    }
    if (fault.effect.kind !== 'corrupt') expect(outcome).toMatchObject({ kind: 'unavailable' });
    if (!required) expect(operation.name).toMatch(/^a large blob/);
  }

  describe.concurrent.each(OPERATIONS)('$name', (operation) => {
    it.for(faultsOf(operation))('$name', async ({ fault }) => {
      const lane = free.shift();
      if (!lane) throw new Error('more run at once than there are lanes');
      try {
        await check(lane, operation, fault);
      } finally {
        await lane.proxy.heal();
        free.push(lane);
      }
    });
  });
}
