import { MemoryGets } from '@granary/telemetry';
import type { MemoryLayer } from '../layers/memory-layer.js';
import type { Recorder } from './recorder.js';

/** Of so many look-ups one is timed, where metrics are on. */
const TIMED_EVERY = 256;

/** Look-ups until the next that is looked at, where nobody wants to know. */
const NEVER_TIMED = 2 ** 30;

/**
 * Look-ups in a layer in memory that is the first of a chain, on the shortest way, which is the same whether metrics are
 * on or not (`bench/telemetry.mjs`): to look at the clock takes longer than what it would time, so one look-up stands for
 * others.
 */
export class CountedMemory<V> {
  /** Values that were there. */
  hits = 0;
  readonly #layer: MemoryLayer<V>;
  readonly #recorder: Recorder | undefined;
  /** Where look-ups are counted for metrics, if anybody reads that. */
  readonly #gets: MemoryGets;
  /** Whether the collector has no such place, and has to be told of each. */
  readonly #tellsEach: boolean;
  /** Look-ups up to the next one that takes more than to be counted. */
  #untilTold: number;
  #turn = 0;
  #durationMs = 0;

  constructor(layer: MemoryLayer<V>, recorder: Recorder | undefined) {
    const gets = recorder?.memoryGets(layer.name);
    this.#layer = layer;
    this.#recorder = recorder;
    this.#gets = gets ?? new MemoryGets(() => {});
    this.#tellsEach = recorder !== undefined && gets === undefined;
    this.#untilTold = recorder === undefined ? NEVER_TIMED : 1;
  }

  /** A key that is there was checked when it came. */
  get(key: string): V | undefined {
    if (--this.#untilTold === 0) return this.#getAndTell(key);
    const value = this.#layer.get(key);
    this.#count(value);
    return value;
  }

  #count(value: V | undefined): void {
    if (value === undefined) this.#gets.misses++;
    else {
      this.#gets.hits++;
      this.hits++;
    }
  }

  #getAndTell(key: string): V | undefined {
    const recorder = this.#recorder;
    if (recorder === undefined) {
      this.#untilTold = NEVER_TIMED;
      return this.get(key);
    }
    if (this.#tellsEach) return this.#getAndTellOfIt(key, recorder);
    this.#untilTold = TIMED_EVERY;
    const start = recorder.now();
    const value = this.#layer.get(key);
    const durationMs = recorder.now() - start;
    this.#count(value);
    try {
      this.#gets.took(durationMs);
    } catch {}
    return value;
  }

  #getAndTellOfIt(key: string, recorder: Recorder): V | undefined {
    this.#untilTold = 1;
    this.#turn = (this.#turn + 1) % TIMED_EVERY;
    const timed = this.#turn === 1;
    const start = timed ? recorder.now() : 0;
    const value = this.#layer.get(key);
    if (timed) this.#durationMs = recorder.now() - start;
    this.#count(value);
    recorder.get(this.#layer.name, value !== undefined, this.#durationMs);
    if (value !== undefined) recorder.chainGet(0, this.#durationMs);
    return value;
  }
}
