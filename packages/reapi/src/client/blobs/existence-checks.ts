import type { Digest, DigestFunction, OperationOptions } from '@granary/blobs';
import { decodeFindMissingBlobsResponse, encodeFindMissingBlobsRequest } from '../../wire/index.js';
import type { Peer } from '../connection/peer.js';
import type { ResolvedGrpcOptions } from '../options.js';
import { answered } from './answered.js';
import { ENTRY_BYTES, MAX_WAITING_BLOBS, MESSAGE_ROOM } from './batch-sizes.js';
import { type Batch, Batcher, laneOf } from './batcher.js';

const FIND_MISSING = '/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs';

/** Questions of one caller at a time. */
const MAX_QUESTIONS = 16;

/** Different digests of one function, by {@link Digest.toString}. */
type Question = ReadonlyMap<string, Digest>;

/** `FindMissingBlobs`: what many callers ask at the same time is one question. */
export class ExistenceChecks {
  readonly #peer: Peer;
  readonly #maxCount: number;
  readonly #batcher: Batcher<Question, ReadonlySet<string>>;

  constructor(peer: Peer, options: ResolvedGrpcOptions) {
    this.#peer = peer;
    const fits = Math.floor((options.maxMessageBytes - MESSAGE_ROOM) / ENTRY_BYTES);
    this.#maxCount = Math.min(options.maxBatchBlobs, fits);
    const limits = { maxCount: this.#maxCount, maxBytes: Number.POSITIVE_INFINITY };
    this.#batcher = new Batcher({
      limits: () => limits,
      send: (batch) => this.#ask(batch),
      delayMs: options.batchDelayMs,
      maxWaiting: MAX_WAITING_BLOBS,
      onFull: () => peer.failure('exhausted', 'too many existence checks wait for their turn'),
    });
  }

  /** Those that the peer doesn't have, in their order; of a function that it doesn't know, it has none. */
  async missing(digests: readonly Digest[], options: OperationOptions | undefined): Promise<Digest[]> {
    if (digests.length === 0) return [];
    const { digestFunctions } = await this.#peer.capabilities(options?.signal);
    const keys = digests.map(String);
    const questions: Promise<void>[] = [];
    const missing = new Map<DigestFunction, Set<string>>();
    for (const fn of new Set(digests.map((digest) => digest.function))) {
      if (!digestFunctions.has(fn)) continue;
      const found = new Set<string>();
      missing.set(fn, found);
      for (const question of this.#questions(fn, digests, keys)) {
        const submission = { item: question, lane: laneOf(fn, options), count: question.size, bytes: 0 };
        const asked = this.#batcher.submit(submission, options).then((absent) => {
          if (absent.size > 0) for (const key of question.keys()) if (absent.has(key)) found.add(key);
        });
        questions.push(asked);
        if (questions.length === MAX_QUESTIONS) await Promise.all(questions.splice(0));
      }
    }
    await Promise.all(questions);
    return digests.filter((digest, i) => missing.get(digest.function)?.has(keys[i] as string) ?? true);
  }

  close(reason: unknown): void {
    this.#batcher.close(reason);
  }

  *#questions(fn: DigestFunction, digests: readonly Digest[], keys: readonly string[]): Generator<Question> {
    let question = new Map<string, Digest>();
    for (const [i, digest] of digests.entries()) {
      if (digest.function !== fn) continue;
      question.set(keys[i] as string, digest);
      if (question.size < this.#maxCount) continue;
      yield question;
      question = new Map();
    }
    if (question.size > 0) yield question;
  }

  async #ask({ items, options }: Batch<Question>): Promise<ReadonlySet<string>[]> {
    const asked = items.length === 1 ? (items[0] as Question) : new Map(items.flatMap((question) => [...question]));
    const blobDigests = [...asked.values()];
    const digestFunction = (blobDigests[0] as Digest).function;
    const request = encodeFindMissingBlobsRequest({ instanceName: this.#peer.instance, digestFunction, blobDigests });
    const response = await this.#peer.unary(FIND_MISSING, request, options);
    const { missingBlobDigests } = answered(this.#peer, 'FindMissingBlobs', () =>
      decodeFindMissingBlobsResponse(response, digestFunction),
    );
    const missing = new Set<string>();
    for (const digest of missingBlobDigests) {
      const key = String(digest);
      if (!asked.has(key))
        throw this.#peer.failure('invalid', 'FindMissingBlobs was answered with a blob that nobody asked for');
      missing.add(key);
    }
    return items.map(() => missing);
  }
}
