import { untilAborted } from '@granary/resilience';
import { type Logger, noopSpan, type Span, type Tracer } from '@granary/telemetry';
import type { BlobReader, OperationOptions } from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import type { TierAccess } from '../tier-access.js';
import type { Delivery } from './intake.js';

/** Times that a delivery which broke off is taken up again, by whichever tier. */
const MOST_RESUMES = 5;

export interface DeliveriesContext {
  /** In the order in which they are asked. */
  readonly tiers: readonly TierAccess[];
  readonly tracer: Tracer;
  readonly logger: Logger;
}

/** Which tier delivers a large blob, and which goes on where one breaks off. */
export class Deliveries {
  readonly #digest: Digest;
  readonly #context: DeliveriesContext;
  readonly #asked: OperationOptions | undefined;
  readonly #signal: AbortSignal;
  /** In the order in which they are asked for this blob. */
  #tiers: readonly TierAccess[];
  /** Those that don't have the blob, can't be reached, or delivered something else. */
  readonly #excluded = new Set<TierAccess>();
  #resumes = 0;
  #from: string | undefined;

  /** @param asked options of whoever asks first: its span is the parent of what happens here */
  constructor(digest: Digest, context: DeliveriesContext, asked: OperationOptions | undefined, signal: AbortSignal) {
    this.#digest = digest;
    this.#context = context;
    this.#asked = asked;
    this.#signal = signal;
    this.#tiers = context.tiers;
  }

  /** The tier that delivers, the last one where one took over from another. */
  get from(): string | undefined {
    return this.#from;
  }

  /** Asks the tiers in turn for the blob from an offset. */
  async open(offset: number): Promise<Delivery | undefined> {
    let failure: unknown;
    for (const tier of this.#tiers) {
      if (this.#excluded.has(tier)) continue;
      const span = this.#startSpan(tier, offset);
      try {
        const reader = await this.#read(tier, offset, span);
        if (reader) {
          this.#from = tier.name;
          return { from: tier, reader, span };
        }
        span.end();
      } catch (error) {
        span.recordError(error);
        span.end();
        if (this.#signal.aborted) throw error;
        if (tier.required) failure ??= tier.unavailable(error);
      }
      this.#excluded.add(tier);
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  /** Undefined when the tier doesn't have the blob, or has something else. */
  async #read(tier: TierAccess, offset: number, span: Span): Promise<BlobReader | undefined> {
    const digest = this.#digest;
    const passedOn = span.recording ? span : this.#asked?.span;
    const reading = tier.read(digest, { offset, signal: this.#signal, span: passedOn, via: this.#asked?.via });
    const reader = await untilAborted(reading, this.#signal, (late) => void late?.close().catch(() => {}));
    span.setAttribute('cache.hit', reader !== undefined);
    if (reader === undefined || reader.length === digest.size - offset) return reader;
    void reader.close().catch(() => {});
    tier.damaged(digest, `${reader.length} bytes were offered from ${offset} of ${digest.size}`);
    return undefined;
  }

  /** Goes on where a delivery broke off: with the others first, unless it was the first time. */
  async resume(received: number, { from }: Delivery, failure: unknown): Promise<Delivery> {
    if (this.#signal.aborted) throw failure;
    this.#context.logger.debug('{Digest} broke off on {Tier}', String(this.#digest), from.name, failure);
    const isAccident = this.#resumes++ === 0;
    if (!isAccident) this.#tiers = [...this.#tiers.filter((tier) => tier !== from), from];
    const next = this.#resumes <= MOST_RESUMES ? await this.open(received) : undefined;
    if (!next) throw from.unavailable(failure);
    return next;
  }

  /**
   * A blob of one tier is that tier's fault. Of one that was put together nobody knows whose it is: all but the last have
   * broken off besides, which their breakers know, and the last is asked for all of it.
   */
  blame(sources: readonly TierAccess[], error: unknown): void {
    const tiers = new Set(sources);
    const last = sources.at(-1);
    if (last && tiers.size > 1) {
      tiers.delete(last);
      for (const tier of tiers) this.#excluded.add(tier);
    } else if (last) {
      this.#excluded.add(last);
      last.damaged(this.#digest, error instanceof Error ? error.message : String(error));
    }
  }

  #startSpan(tier: TierAccess, offset: number): Span {
    const parent = this.#asked?.span;
    if (!parent?.recording) return noopSpan;
    return this.#context.tracer.startSpan('proxy.Get.RemoteFetch', {
      kind: 'client',
      parent,
      attributes: {
        'cache.tier': tier.name,
        'cache.digest': String(this.#digest),
        'cache.size': this.#digest.size,
        'cache.offset': offset || undefined,
      },
    });
  }
}
