import { setTimeout as delay } from 'node:timers/promises';
import { actionKey } from '@granary/blobs';
import type { GrpcTier } from '@granary/reapi';
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

/** How something comes to a server, and from there. */
interface Content {
  put(client: GrpcTier, blob: TestBlob): Promise<void>;
  read(client: GrpcTier, blob: TestBlob): Promise<Outcome>;
  /** Whether a hash or a length tells that bytes were changed on the way. */
  readonly isVerified: boolean;
}

const BLOB: Content = {
  put: (client, { digest, bytes }) => client.blobs.write(digest, bytes),
  read: async (client, blob) => {
    const reader = await client.blobs.read(blob.digest);
    return outcomeOf(reader && (await readAll(reader)), blob);
  },
  isVerified: true,
};

/** What an action printed, and no outputs: only TLS could tell that a byte of it was changed. */
const RESULT: Content = {
  put: (client, blob) => client.actionResults.set(resultKey(blob), Buffer.concat([STDOUT_RAW, blob.bytes])),
  read: async (client, blob) => {
    const result = await client.actionResults.get(resultKey(blob));
    return outcomeOf(result?.subarray(STDOUT_RAW.length, STDOUT_RAW.length + SMALL_BYTES), blob);
  },
  isVerified: false,
};

/** Tag and length of {@link SMALL_BYTES} in the field `stdout_raw`. */
const STDOUT_RAW = Buffer.of(0x2a, (SMALL_BYTES & 0x7f) | 0x80, SMALL_BYTES >> 7);

function resultKey({ digest }: TestBlob): string {
  return actionKey('', { function: 'sha256', hash: digest.hash });
}

interface Operation {
  readonly name: string;
  readonly content: Content;
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
    content: BLOB,
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
    content: BLOB,
    bytes: SMALL_BYTES,
    reads: true,
    budgetMs: TIMES.timeout,
    middle: { up: 40, down: 1000 },
    run: async ({ client }, blob) => [outcomeOf(await client.blobs.get(blob.digest), blob)],
  },
  {
    name: 'a large blob',
    content: BLOB,
    bytes: LARGE_BYTES,
    reads: true,
    budgetMs: 2 * TIMES.timeout + TIMES.idle,
    middle: { up: 40, down: LARGE_BYTES / 2 },
    run: async ({ client }, blob) => [await BLOB.read(client, blob)],
  },
  {
    name: 'a large blob that several follow',
    content: BLOB,
    bytes: LARGE_BYTES,
    reads: true,
    budgetMs: 2 * TIMES.timeout + TIMES.idle,
    middle: { up: 40, down: LARGE_BYTES / 2 },
    run: ({ client }, blob) => Promise.all(Array.from({ length: 4 }, () => BLOB.read(client, blob).catch(asError))),
  },
  {
    name: 'a small upload',
    content: BLOB,
    bytes: SMALL_BYTES,
    reads: false,
    budgetMs: 2 * TIMES.timeout,
    middle: { up: 1000, down: 90 },
    calls: 1,
    run: ({ client }, blob) => putAndRead(client, blob, BLOB),
  },
  {
    name: 'a large upload',
    content: BLOB,
    bytes: LARGE_BYTES,
    reads: false,
    budgetMs: TIMES.timeout + 2 * TIMES.attempt + 2 * TIMES.idle,
    middle: { up: LARGE_BYTES / 2, down: 80 },
    calls: 1,
    run: ({ client }, blob) => putAndRead(client, blob, BLOB),
  },
  {
    name: 'an action result',
    content: RESULT,
    bytes: SMALL_BYTES,
    reads: true,
    budgetMs: TIMES.timeout,
    middle: { up: 40, down: 1000 },
    run: async ({ client }, blob) => [await RESULT.read(client, blob)],
  },
  {
    name: 'a new action result',
    content: RESULT,
    bytes: SMALL_BYTES,
    reads: false,
    budgetMs: 2 * TIMES.timeout,
    middle: { up: 1000, down: 40 },
    run: ({ client }, blob) => putAndRead(client, blob, RESULT),
  },
];

const CUTS = ['reset', 'truncate', 'black-hole', 'corrupt'] as const;

/** Every fault in every position of an operation. */
function faultsOf({ content, middle, calls: skip = 0 }: Operation): { readonly name: string; readonly fault: Fault }[] {
  const at = (where: string, effect: Fault['effect'], point: Point, direction: 'up' | 'down') => ({
    name: `${effect.kind} in ${where}`,
    fault: { effect, point, direction },
  });
  const each = (where: string, point: Point, direction: 'up' | 'down') =>
    CUTS.map((kind) => at(where, { kind }, point, direction));
  const slow = { kind: 'bandwidth', bytesPerSecond: 8 * KIB * KIB } as const;
  const late = { kind: 'latency', ms: 40 } as const;
  const all: { readonly name: string; readonly fault: Fault }[] = [
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
  return all.filter(({ fault }) => content.isVerified || fault.effect.kind !== 'corrupt' || fault.point?.at !== 'data');
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

/** What the server has taken it can give back at once, whatever its tier does. */
async function putAndRead(client: GrpcTier, blob: TestBlob, content: Content): Promise<Outcome[]> {
  await content.put(client, blob);
  return [await content.read(client, blob)];
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
      expect(await BLOB.read(lane.client, own)).toBe('whole');
      longest = Math.max(longest, performance.now() - begun);
      if (!isOver()) await delay(25);
    } while (!isOver());
    return longest;
  }

  async function check(lane: GuardedTier, operation: Operation, fault: Fault): Promise<void> {
    const blob = testBlob(operation.bytes);
    const later = testBlob(SMALL_BYTES);
    await backClient.blobs.write(later.digest, later.bytes);
    if (operation.reads) await operation.content.put(backClient, blob);

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
    if (operation.reads || isAcknowledged) {
      expect(await operation.content.read(lane.client, blob)).toBe('whole');
    }
    if (!operation.reads && isAcknowledged && required) {
      expect(await operation.content.read(backClient, blob)).toBe('whole');
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
