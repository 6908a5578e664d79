import type { Readable } from 'node:stream';
import { getHeapSnapshot } from 'node:v8';
import type * as Pprof from '@datadog/pprof';
import { nameFunctionsByPlace } from './function-names.js';
import { nodeTimers, type ProfilerTimers, pause } from './pause.js';
import { ProfilerBusyError, ProfilerClosedError, ProfilerUnavailableError } from './profiler-errors.js';

/** How often the CPU profile looks at the stack: a hundred times a second, as Go's does. */
const CPU_INTERVAL_MICROS = 10_000;
/** Bytes of allocations for each one that is looked at. */
const HEAP_INTERVAL_BYTES = 512 * 1024;
const HEAP_STACK_DEPTH = 64;

export interface ProfilerOptions {
  /** Default: Node's. */
  readonly timers?: ProfilerTimers | undefined;
}

export interface ProfileOptions {
  /** Ends the profile without a result; the promise is then rejected with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes profiles of the main thread in the format of pprof, gzipped, for `go tool pprof` and whatever else reads them.
 * The optional peer `@datadog/pprof` is loaded when the first one is asked for (some 20 ms and 10 MiB); until then a
 * profiler costs nothing.
 */
export class Profiler {
  readonly #timers: ProfilerTimers;
  readonly #ended = new AbortController();
  #pprof: Promise<typeof Pprof> | undefined;
  /** Ends of the profiles that are being taken, by the steady clock. */
  readonly #until = new Map<'cpu' | 'heap', number>();
  #samplesHeap = false;
  #snapshot: Readable | undefined;

  constructor(options: ProfilerOptions = {}) {
    this.#timers = options.timers ?? nodeTimers;
  }

  /**
   * Where the time goes: stacks with the time by the clock and that on the CPU, and the CPU time of other threads, such
   * as those that collect garbage. Costs some per cent of one CPU meanwhile.
   *
   * @param durationMs how long to look
   * @throws ProfilerBusyError while another one is being taken, by whomever in this process
   * @throws ProfilerUnavailableError without the package
   * @throws ProfilerClosedError when the profiler is closed
   */
  async cpu(durationMs: number, options: ProfileOptions = {}): Promise<Buffer> {
    return this.#alone('cpu', 'a CPU profile', durationMs, options, async ({ time, encode }, signal) => {
      if (time.isStarted()) throw new ProfilerBusyError('a CPU profile');
      time.start({
        durationMillis: durationMs,
        intervalMicros: CPU_INTERVAL_MICROS,
        withContexts: true,
        collectCpuTime: true,
      });
      let profile: ReturnType<typeof time.stop>;
      try {
        await pause(durationMs, this.#timers, signal);
      } finally {
        profile = time.stop();
      }
      nameFunctionsByPlace(profile);
      return encode(profile);
    });
  }

  /**
   * Who holds the memory: what was allocated since samples are taken and is still there, by the stacks that allocated
   * it, estimated from one allocation in each 512 KiB. Memory outside of V8's heap, as that of Buffers, is not seen.
   *
   * Starts to take samples if nobody has, which goes on until {@link close}: a profile later shows the time since.
   *
   * @param waitMs how long to wait before the profile is made. Default 0.
   * @throws ProfilerBusyError while another one waits
   * @throws ProfilerUnavailableError without the package
   * @throws ProfilerClosedError when the profiler is closed
   */
  async heap(waitMs = 0, options: ProfileOptions = {}): Promise<Buffer> {
    return this.#alone('heap', 'a heap profile', waitMs, options, async (pprof, signal) => {
      this.#sampleHeap(pprof);
      if (waitMs > 0) await pause(waitMs, this.#timers, signal);
      const profile = pprof.heap.profile();
      nameFunctionsByPlace(profile);
      return pprof.encode(profile);
    });
  }

  /** Whether samples of the heap are taken. */
  get samplesHeap(): boolean {
    return this.#samplesHeap;
  }

  /**
   * Takes samples of the heap from now on, for {@link heap}. Costs up to a few per cent where a program does nothing but
   * allocate.
   *
   * @throws ProfilerUnavailableError without the package
   */
  async startHeapSampling(): Promise<void> {
    this.#sampleHeap(await this.#load());
  }

  /**
   * Everything on V8's heap with who holds it, in the format of Chrome's developer tools (`.heapsnapshot`). It holds every text
   * that the program has in memory, secrets too. Making it stops the program for some seconds for each GiB, and takes
   * about as much memory again.
   *
   * @returns a stream, to be read to its end or destroyed
   * @throws ProfilerBusyError while another one is being read
   */
  heapSnapshot(): Readable {
    this.#ended.signal.throwIfAborted();
    if (this.#snapshot) throw new ProfilerBusyError('a heap snapshot');
    const snapshot = getHeapSnapshot();
    this.#snapshot = snapshot;
    snapshot.once('close', () => {
      this.#snapshot = undefined;
    });
    return snapshot;
  }

  /** Ends what is being taken and stops taking samples. May be called twice. */
  async close(): Promise<void> {
    this.#ended.abort(new ProfilerClosedError());
    this.#snapshot?.destroy();
    const pprof = await this.#pprof?.catch(() => undefined);
    if (this.#samplesHeap) pprof?.heap.stop();
    this.#samplesHeap = false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #alone(
    kind: 'cpu' | 'heap',
    what: string,
    durationMs: number,
    options: ProfileOptions,
    take: (pprof: typeof Pprof, signal: AbortSignal) => Promise<Buffer>,
  ): Promise<Buffer> {
    const signal = options.signal ? AbortSignal.any([options.signal, this.#ended.signal]) : this.#ended.signal;
    signal.throwIfAborted();
    const until = this.#until.get(kind);
    if (until !== undefined) throw new ProfilerBusyError(what, Math.max(0, until - performance.now()));
    this.#until.set(kind, performance.now() + durationMs);
    try {
      const pprof = await this.#load();
      signal.throwIfAborted();
      return await take(pprof, signal);
    } finally {
      this.#until.delete(kind);
    }
  }

  #sampleHeap({ heap }: typeof Pprof): void {
    this.#ended.signal.throwIfAborted();
    if (this.#samplesHeap) return;
    try {
      heap.start(HEAP_INTERVAL_BYTES, HEAP_STACK_DEPTH);
      this.#samplesHeap = true;
    } catch {
      // Something else in this process takes samples already; there is one sampler for all, and its samples do as well.
    }
  }

  #load(): Promise<typeof Pprof> {
    this.#pprof ??= import('@datadog/pprof').catch((error: unknown) => {
      throw new ProfilerUnavailableError(error);
    });
    return this.#pprof;
  }
}
