import { rm } from 'node:fs/promises';
import { actionKey, isStoreError, type Tier } from '@granary/blobs';
import { SemaphoreThrottle } from '@granary/resilience';
// biome-ignore lint/correctness/noUndeclaredDependencies: a table of tests that several files run at the same time
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { TieredStores } from '../../tiers/open-tiers.js';
import { temporaryFolder } from '../test-server.js';
import type { Fault, Point } from './fault.js';
import { GuardedStores } from './guarded-stores.js';
import { readAll, type TestBlob, testBlob } from './guarded-tier.js';
import {
  LARGE_BYTES,
  OPERATIONS,
  type OperationName,
  type Peer,
  type Places,
  SMALL_BYTES,
  type TierUnderTest,
} from './tier-under-test.js';

const KIB = 1024;

/** Cases at once, which mostly wait. */
const MOST_LANES = 8;
/** Until a fault has come to pass. */
const MOST_TRIES = 5;
const PATIENCE = { timeout: 20_000, interval: 20 };
/** When something hangs: on the slowest of machines. */
const CASE_TIMEOUT_MS = 120_000;
/** What as many large blobs as there are lanes take to a tier and back, where nothing else runs. */
const USUAL_MS = 60;
const MOST_TIMES_SLOWER = 10;
/** What a machine with other work needs on top of a budget. */
const MARGIN_MS = 5000;

/** What requests to the tier may take, in milliseconds. */
interface Times {
  readonly timeout: number;
  readonly attempt: number;
  readonly idle: number;
}

/** Little, so that what waits is soon over, and more on a machine that is slower. */
function timesOf(slower: number): Times {
  return { timeout: Math.ceil(800 * slower), attempt: Math.ceil(250 * slower), idle: Math.ceil(400 * slower) };
}

function settingsOf({ timeout, attempt, idle }: Times) {
  return {
    timeout: `${timeout}ms`,
    attempt_timeout: `${attempt}ms`,
    idle_timeout: `${idle}ms`,
    retries: 1,
    failures: 3,
    rest: '50ms',
  };
}

/** What became of one request, which may never have wrong bytes. */
type Outcome = 'whole' | 'missing' | Error;

/** How something comes to a tier, and from there. */
interface Content {
  /** Into the tier itself, or into the stores in front of it. */
  put(stores: Pick<TieredStores, 'blobs' | 'actionResults'>, item: TestBlob): Promise<void>;
  read(stores: TieredStores, item: TestBlob): Promise<Outcome>;
  /** Whether a hash or a length tells that bytes were changed on the way. */
  readonly isVerified: boolean;
}

const BLOB: Content = {
  put: ({ blobs }, { digest, bytes }) => blobs.write(digest, bytes),
  read: async ({ blobs }, item) => {
    const reader = await blobs.read(item.digest);
    return outcomeOf(reader && (await readAll(reader)), item.bytes);
  },
  isVerified: true,
};

/** What an action printed, and no outputs: only TLS could tell that a byte of it was changed. */
const RESULT: Content = {
  put: ({ actionResults }, item) => actionResults.set(keyOf(item), Buffer.concat([STDOUT_RAW, item.bytes])),
  read: async ({ actionResults }, item) => {
    const result = await actionResults.get(keyOf(item));
    // A peer may add fields of its own.
    return outcomeOf(result?.subarray(STDOUT_RAW.length, STDOUT_RAW.length + SMALL_BYTES), item.bytes);
  },
  isVerified: false,
};

/** Tag and length of {@link SMALL_BYTES} in the field `stdout_raw`. */
const STDOUT_RAW = Buffer.of(0x2a, (SMALL_BYTES & 0x7f) | 0x80, SMALL_BYTES >> 7);

function keyOf({ digest }: TestBlob): string {
  return actionKey('', { function: 'sha256', hash: digest.hash });
}

interface Operation {
  readonly content: Content;
  readonly bytes: number;
  /** - `read`: it is in the tier before */
  readonly kind: 'read' | 'write-through' | 'write-behind';
  readonly budgetMs: (times: Times) => number;
  run(stores: TieredStores, item: TestBlob): Promise<Outcome[]>;
}

const ANSWER = ({ timeout }: Times) => timeout;
const FETCH = ({ timeout, idle }: Times) => 2 * timeout + idle;
const SMALL_UPLOAD = ({ timeout }: Times) => 2 * timeout;
const LARGE_UPLOAD = ({ timeout, attempt, idle }: Times) => timeout + 2 * attempt + 2 * idle;
const LOCAL = () => 0;

const ALL: Readonly<Record<OperationName, Operation>> = {
  FindMissingBlobs: {
    content: BLOB,
    bytes: SMALL_BYTES,
    kind: 'read',
    budgetMs: ANSWER,
    run: async ({ blobs }, { digest }) => {
      const nowhere = testBlob(SMALL_BYTES).digest;
      const missing = await blobs.findMissing([digest, nowhere]);
      expect(missing.map(String)).toContain(String(nowhere));
      return [missing.length === 1 ? 'whole' : 'missing'];
    },
  },
  'a small blob': {
    content: BLOB,
    bytes: SMALL_BYTES,
    kind: 'read',
    budgetMs: ANSWER,
    run: async ({ blobs }, { digest, bytes }) => [outcomeOf(await blobs.get(digest), bytes)],
  },
  'a large blob': {
    content: BLOB,
    bytes: LARGE_BYTES,
    kind: 'read',
    budgetMs: FETCH,
    run: async (stores, item) => [await BLOB.read(stores, item)],
  },
  'a part of a large blob': {
    content: BLOB,
    bytes: LARGE_BYTES,
    kind: 'read',
    budgetMs: FETCH,
    run: async ({ blobs }, { digest, bytes }) => {
      const [offset, limit] = [LARGE_BYTES / 4 + 1, LARGE_BYTES / 2];
      const reader = await blobs.read(digest, { offset, limit });
      return [outcomeOf(reader && (await readAll(reader)), bytes.subarray(offset, offset + limit))];
    },
  },
  'a large blob that several follow': {
    content: BLOB,
    bytes: LARGE_BYTES,
    kind: 'read',
    budgetMs: FETCH,
    run: (stores, item) => Promise.all(Array.from({ length: 4 }, () => BLOB.read(stores, item).catch(asError))),
  },
  'a small upload': upload(BLOB, SMALL_BYTES, 'write-through', SMALL_UPLOAD),
  'a large upload': upload(BLOB, LARGE_BYTES, 'write-through', LARGE_UPLOAD),
  'a small upload behind the answer': upload(BLOB, SMALL_BYTES, 'write-behind', LOCAL),
  'a large upload behind the answer': upload(BLOB, LARGE_BYTES, 'write-behind', LOCAL),
  'an action result': {
    content: RESULT,
    bytes: SMALL_BYTES,
    kind: 'read',
    budgetMs: ANSWER,
    run: async (stores, item) => [await RESULT.read(stores, item)],
  },
  'a new action result': upload(RESULT, SMALL_BYTES, 'write-through', SMALL_UPLOAD),
  'a new action result behind the answer': upload(RESULT, SMALL_BYTES, 'write-behind', LOCAL),
};

/** What the stores have taken they can give back at once, whatever the tier does. */
function upload(content: Content, bytes: number, kind: Operation['kind'], budgetMs: Operation['budgetMs']): Operation {
  const run = async (stores: TieredStores, item: TestBlob): Promise<Outcome[]> => {
    await content.put(stores, item);
    return [await content.read(stores, item)];
  };
  return { content, bytes, kind, budgetMs, run };
}

interface NamedFault {
  readonly name: string;
  readonly fault: Fault;
}

const CUTS = ['reset', 'truncate', 'black-hole', 'corrupt'] as const;
const SLOW = { kind: 'bandwidth', bytesPerSecond: 8 * KIB * KIB } as const;
const LATE = { kind: 'latency', ms: 40 } as const;

/** Every fault in every position of an operation. */
function faultsOf({ content }: Operation, { up, down, call }: Places): NamedFault[] {
  const at = (where: string, effect: Fault['effect'], point: Point, direction: 'up' | 'down') => ({
    name: `${effect.kind} in ${where}`,
    fault: { effect, point, direction },
  });
  const each = (where: string, point: Point, direction: 'up' | 'down') =>
    CUTS.map((kind) => at(where, { kind }, point, direction));
  const body = (where: string, bytes: number | undefined, direction: 'up' | 'down') =>
    bytes === undefined
      ? []
      : [
          ...each(where, { at: 'data', bytes }, direction),
          at(where, { kind: 'stall' }, { at: 'data', bytes }, direction),
          at(where, SLOW, { at: 'data', bytes }, direction),
        ];
  const all: NamedFault[] = [
    { name: 'refuse at the connection', fault: { effect: { kind: 'refuse' } } },
    { name: 'half-open at the connection', fault: { effect: { kind: 'half-open' } } },
    { name: 'reset at the connection', fault: { effect: { kind: 'drop', afterMs: 0 } } },
    ...each('the first bytes of the request', { at: 'head', ...call }, 'up'),
    at('the first bytes of the request', LATE, { at: 'head' }, 'up'),
    ...body('the upload', up, 'up'),
    ...each('the first bytes of the response', { at: 'head', ...call }, 'down'),
    ...body('the download', down, 'down'),
    ...each('the end of the response', { at: 'end', ...call }, 'down'),
  ];
  const isHidden = ({ effect, point }: Fault) =>
    effect.kind === 'corrupt' && !content.isVerified && (point?.at === 'data' || (point?.at === 'end' && down));
  return all.filter(({ fault }) => !isHidden(fault));
}

function asError(error: unknown): Error {
  if (error instanceof Error && error.name !== 'AssertionError') return error;
  throw error;
}

function outcomeOf(got: Buffer | undefined, wanted: Buffer): Outcome {
  if (!got) return 'missing';
  expect(got.equals(wanted)).toBe(true);
  return 'whole';
}

/** Without a tier that may be missing everything goes on; only a large blob that has begun to come can break off. */
function expectFair(outcome: Outcome, operation: Operation, fault: Fault, required: boolean): void {
  if (outcome === 'whole') return;
  expect(operation.kind).not.toBe('write-behind');
  const isCorrupt = fault.effect.kind === 'corrupt';
  if (outcome === 'missing') {
    if (required) expect(isCorrupt).toBe(true);
    return;
  }
  expect(isStoreError(outcome) && outcome.code).toMatch(
    isCorrupt ? /^(TIER_UNAVAILABLE|BLOB_DAMAGED)$/ : /^TIER_UNAVAILABLE$/,
  );
  if (!required) expect([operation.kind, operation.bytes]).toEqual(['read', LARGE_BYTES]);
}

function hasHappened({ proxy }: GuardedStores, { effect }: Fault): boolean {
  return effect.kind === 'refuse' || proxy.befallen > 0;
}

async function eventuallyWhole(content: Content, stores: TieredStores, item: TestBlob): Promise<void> {
  await vi.waitFor(async () => expect(await content.read(stores, item)).toBe('whole'), PATIENCE);
}

/** Stores that one case after the other has for itself. */
interface Lane {
  readonly kind: string;
  readonly lane: GuardedStores;
  /** What is here, and nowhere else. */
  readonly own: TestBlob;
}

/**
 * Every operation with every fault in every position, in front of tiers of one type.
 *
 * @param required whether the tiers are, where that makes a difference: those that are may not tell a failure as a miss
 */
export function describeFaults(type: TierUnderTest, required: readonly boolean[]): void {
  let peer: Peer;
  let folder: string;
  /** Stores that no fault befalls. */
  let witness: GuardedStores;
  let peerStores: Pick<TieredStores, 'blobs' | 'actionResults'>;
  let times: Times;
  const lanes: Lane[] = [];
  const free: Lane[] = [];
  const turns = new SemaphoreThrottle(MOST_LANES, { maxQueue: 1000 });

  beforeAll(async () => {
    folder = await temporaryFolder();
    peer = await type.start(folder);
    const patient = { timeout: '60s', attempt_timeout: '60s', idle_timeout: '60s', circuit_breaker: 'off' };
    witness = await GuardedStores.start(type, peer, { mode: 'write-through', required: true, ...patient });
    const { blobs, actionResults } = witness.stores.tiers[0] as Tier;
    peerStores = { blobs, actionResults } as TieredStores;
    await msOfExchange();
    times = timesOf(Math.min(Math.max(1, (await msOfExchange()) / USUAL_MS), MOST_TIMES_SLOWER));
  }, CASE_TIMEOUT_MS);
  afterAll(async () => {
    const open = await Promise.all(lanes.map(({ lane }) => lane.stop()));
    await witness?.stop();
    await peer?.stop();
    await rm(folder, { recursive: true, force: true });
    expect(open).toEqual(lanes.map(() => 0));
  }, CASE_TIMEOUT_MS);

  /** Large blobs to the tier and back, as many as there are lanes. */
  async function msOfExchange(): Promise<number> {
    const blobs = Array.from({ length: MOST_LANES }, () => testBlob(LARGE_BYTES));
    const begun = performance.now();
    await Promise.all(blobs.map((blob) => BLOB.put(peerStores, blob)));
    await Promise.all(blobs.map((blob) => BLOB.read(witness.stores, blob)));
    return performance.now() - begun;
  }

  async function lease(kind: string, settings: object): Promise<Lane> {
    const at = free.findIndex((one) => one.kind === kind);
    if (at >= 0) return free.splice(at, 1)[0] as Lane;
    const leased = {
      kind,
      lane: await GuardedStores.start(type, peer, { ...settingsOf(times), ...settings }),
      own: testBlob(40 * KIB),
    };
    lanes.push(leased);
    await leased.lane.keep(leased.own.digest, leased.own.bytes);
    return leased;
  }

  /** One operation with one fault; answers whether that came to pass, which on a slow machine it need not. */
  async function attempt({ lane, own }: Lane, operation: Operation, fault: Fault, required: boolean): Promise<boolean> {
    const { content, kind } = operation;
    const item = testBlob(operation.bytes);
    const later = testBlob(SMALL_BYTES);
    await BLOB.put(peerStores, later);
    if (kind === 'read') await content.put(peerStores, item);

    await lane.proxy.set(fault);
    if (!fault.point) lane.proxy.resetAll();
    const begun = performance.now();
    const running = operation.run(lane.stores, item).catch((error: unknown) => [asError(error)]);
    const [outcomes, ms, ownMs] = await Promise.all([
      running,
      running.then(() => performance.now() - begun),
      BLOB.read(lane.stores, own).then((outcome) => {
        expect(outcome).toBe('whole');
        return performance.now() - begun;
      }),
    ]);
    expect(ms).toBeLessThan(operation.budgetMs(times) + MARGIN_MS);
    expect(ownMs).toBeLessThan(MARGIN_MS);
    for (const outcome of outcomes) expectFair(outcome, operation, fault, required);
    if (kind === 'write-behind') {
      // What was sent before its time was up need not be sent again.
      const isOver = async () => hasHappened(lane, fault) || (await content.read(witness.stores, item)) === 'whole';
      await vi.waitFor(async () => expect(await isOver()).toBe(true), PATIENCE);
    } else if (type.isReconnecting && !fault.point) {
      await vi.waitFor(() => expect(hasHappened(lane, fault)).toBe(true), PATIENCE);
    }
    const happened = hasHappened(lane, fault);

    await lane.proxy.heal();
    await eventuallyWhole(BLOB, lane.stores, later);
    const isAcknowledged = outcomes[0] === 'whole';
    if (kind === 'read' || isAcknowledged) await eventuallyWhole(content, lane.stores, item);
    if (kind !== 'read') {
      const isKept = isAcknowledged && (required || kind === 'write-behind');
      if (isKept && (type.isVerifying || fault.effect.kind !== 'corrupt'))
        await eventuallyWhole(content, witness.stores, item);
      else await content.read(witness.stores, item).catch(asError);
    }
    await vi.waitFor(async () => expect(await lane.leftovers()).toEqual({ reservedBytes: 0, files: [] }), PATIENCE);
    await vi.waitFor(() => expect(lane.proxy.connections).toBeLessThanOrEqual(2), PATIENCE);
    return happened;
  }

  async function check(lane: Lane, operation: Operation, fault: Fault, required: boolean): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) if (await attempt(lane, operation, fault, required)) return;
    throw new Error('the fault never came to pass');
  }

  for (const name of OPERATIONS) {
    const operation = ALL[name];
    const faults = faultsOf(operation, type.places[name]);
    for (const isRequired of operation.kind === 'write-behind' ? [false] : required) {
      const title = `${name}${isRequired ? ', with a tier that is required' : ''}`;
      describe.concurrent(title, () => {
        it.for(faults)('$name', { timeout: CASE_TIMEOUT_MS }, ({ fault }) =>
          turns.run(async () => {
            const mode = operation.kind === 'write-behind' ? 'write-behind' : 'write-through';
            const leased = await lease(`${mode} ${isRequired}`, { mode, required: isRequired });
            try {
              await check(leased, operation, fault, isRequired);
            } finally {
              await leased.lane.proxy.heal();
              free.push(leased);
            }
          }),
        );
      });
    }
  }
}
