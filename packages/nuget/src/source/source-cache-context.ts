import { randomUUID } from 'node:crypto';
import { NuGetError } from '../errors.js';

/** How long what a source says of its packages is believed without asking again: 30 minutes, as NuGet.Client has it. */
export const DEFAULT_MAX_AGE_MS = 30 * 60_000;

/** How long it is believed that a source hasn't got something. */
export const DEFAULT_NOT_FOUND_TTL_MS = 30_000;

/** How old answers may be, and which caches they may come from. */
export interface SourceCacheContextOptions {
  /** Oldest document that is taken from a cache without asking the source. Default 30 minutes; 0 always asks. */
  readonly maxAgeMs?: number | undefined;
  /** Nothing is taken from a cache, as though everything there were too old; what comes is kept. Default false. */
  readonly noCache?: boolean | undefined;
  /** Caches are neither read nor written: what comes goes to the caller only, verified all the same. Default false. */
  readonly directDownload?: boolean | undefined;
  /** What memory holds from before this context was first used is not taken: the disk is asked. Default false. */
  readonly refreshMemoryCache?: boolean | undefined;
  /** What sources see as `X-NuGet-Session-Id`. Default: one of its own. */
  readonly sessionId?: string | undefined;
}

const SESSION_ID = /^[\w.:-]{1,128}$/;

/** How old the answers of one piece of work may be, and which caches they may come from. Never changes. */
export class SourceCacheContext {
  readonly maxAgeMs: number;
  readonly noCache: boolean;
  readonly directDownload: boolean;
  readonly refreshMemoryCache: boolean;
  readonly sessionId: string;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: SourceCacheContextOptions = {}) {
    const { maxAgeMs = DEFAULT_MAX_AGE_MS, sessionId = randomUUID() } = options;
    if (typeof maxAgeMs !== 'number' || !(maxAgeMs >= 0)) {
      throw new NuGetError('INVALID_OPTION', `maxAgeMs must be 0 or more, not ${maxAgeMs}`);
    }
    if (typeof sessionId !== 'string' || !SESSION_ID.test(sessionId)) {
      throw new NuGetError('INVALID_OPTION', 'sessionId must be 1 to 128 letters, digits, or any of . : _ -');
    }
    this.maxAgeMs = maxAgeMs;
    this.noCache = options.noCache === true;
    this.directDownload = options.directDownload === true;
    this.refreshMemoryCache = options.refreshMemoryCache === true;
    this.sessionId = sessionId;
  }

  /** How old what a cache gives may be: 0 where nothing may be taken from one. */
  get effectiveMaxAgeMs(): number {
    return this.noCache || this.directDownload ? 0 : this.maxAgeMs;
  }

  /**
   * The same work for what older answers say isn't there: they are believed for `ttlMs`. Undefined where no older ones
   * are taken anyway.
   */
  forMissing(ttlMs = DEFAULT_NOT_FOUND_TTL_MS): SourceCacheContext | undefined {
    return ttlMs > 0 && this.effectiveMaxAgeMs > ttlMs ? this.with({ maxAgeMs: ttlMs }) : undefined;
  }

  /** The same work with other rules: it keeps its session. */
  with(changes: Omit<SourceCacheContextOptions, 'sessionId'>): SourceCacheContext {
    return new SourceCacheContext({ ...this, ...changes });
  }
}
