import {
  type ActionResultStore,
  actionKey,
  type BlobStore,
  type Digest,
  digestFunctionOfKey,
  type IsUsable,
  type MaybePromise,
  type OperationOptions,
  optionsInSpan,
} from '@granary/blobs';
import {
  type Logger,
  noopTracer,
  nullLogger,
  type Span,
  type SpanOptions,
  type Tracer,
  withSpan,
} from '@granary/telemetry';
import { type ActionResultContents, scanActionResult } from '../wire/index.js';
import { Completeness } from './completeness.js';
import { isPending } from './pending.js';
import { invalidRequest, ProtocolError } from './protocol-error.js';

export interface ActionCacheOptions {
  readonly results: ActionResultStore;
  readonly blobs: BlobStore;
  /**
   * Whether a result counts as a miss when something that it names is gone. Default true; without it a client may
   * be promised outputs that it can't fetch, and results in use don't keep their outputs from being evicted.
   */
  readonly completenessCheck?: boolean;
  /** Refuse new results. Default false. */
  readonly readOnly?: boolean;
  /** Largest `Tree` of an output directory that is looked into, in bytes; a result with a larger one is a miss. */
  readonly maxTreeBytes: number;
  /** Most directories below an output directory's root. */
  readonly maxTreeDirectories: number;
  readonly logger?: Logger;
  /** Makes spans of what a traced request asks for. Default: none. */
  readonly tracer?: Tracer;
}

/**
 * Results of actions, by instance name and action digest.
 *
 * A client that gets a result expects to fetch every output of it without asking first, and some builds fail when
 * they can't. So a result is only handed out when all that it names is here: outputs, stdout, stderr, the trees of
 * output directories and the files in them. Asking the store for them counts as a use of each, so that a result's
 * outputs are evicted after the result and not before it.
 */
export class ActionCache {
  readonly readOnly: boolean;
  readonly #results: ActionResultStore;
  /** Undefined where results are handed out whatever is gone. */
  readonly #completeness: Completeness | undefined;
  readonly #logger: Logger;
  readonly #tracer: Tracer;
  readonly #isUsable: IsUsable = (key, value, options) => this.#check(key, value, false, options);
  readonly #isUsableOrOpaque: IsUsable = (key, value, options) => this.#check(key, value, true, options);

  constructor(options: ActionCacheOptions) {
    this.#results = options.results;
    this.readOnly = options.readOnly ?? false;
    this.#logger = options.logger ?? nullLogger;
    this.#tracer = options.tracer ?? noopTracer;
    const { blobs, maxTreeBytes, maxTreeDirectories, completenessCheck = true } = options;
    if (completenessCheck)
      this.#completeness = new Completeness({ blobs, maxTreeBytes, maxTreeDirectories, logger: this.#logger });
  }

  /** The encoded `ActionResult`, as it was stored; undefined when there is none or it is not complete. */
  get(instance: string, action: Digest, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    return this.#lookUp(instance, action, false, options);
  }

  /**
   * As {@link get}, but a value that is no `ActionResult` is handed out as it is: over HTTP some clients keep other
   * things under the names of actions.
   */
  lookup(instance: string, action: Digest, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    return this.#lookUp(instance, action, true, options);
  }

  /**
   * Stores an encoded `ActionResult`. What it names need not be here yet.
   *
   * @throws ProtocolError `READ_ONLY`, or `INVALID_REQUEST` when the bytes are no action result
   */
  async update(instance: string, action: Digest, result: Buffer, options?: OperationOptions): Promise<void> {
    this.refuseWhenReadOnly();
    try {
      scanActionResult(result, action.function);
    } catch (error) {
      throw invalidRequest(`this is no action result: ${error instanceof Error ? error.message : error}`);
    }
    await this.#set(instance, action, result, options);
  }

  /**
   * Stores any value under the name of an action, as it is.
   *
   * @throws ProtocolError `READ_ONLY`
   */
  async put(instance: string, action: Digest, value: Buffer, options?: OperationOptions): Promise<void> {
    this.refuseWhenReadOnly();
    await this.#set(instance, action, value, options);
  }

  /** @throws ProtocolError `READ_ONLY` */
  refuseWhenReadOnly(): void {
    if (this.readOnly) throw new ProtocolError('READ_ONLY', 'this server does not take action results (ac.read_only)');
  }

  #set(instance: string, action: Digest, value: Buffer, options: OperationOptions | undefined): Promise<void> {
    const key = actionKey(instance, action);
    const parent = options?.span;
    if (!parent?.recording) return this.#results.set(key, value, options);
    return withSpan(this.#tracer, 'proxy.PutActionResult', this.#spanOptions(action, parent), (span) => {
      span.setAttribute('cache.size', value.length);
      return this.#results.set(key, value, optionsInSpan(options, span));
    });
  }

  #lookUp(
    instance: string,
    action: Digest,
    opaque: boolean,
    options: OperationOptions | undefined,
  ): MaybePromise<Buffer | undefined> {
    const parent = options?.span;
    if (!parent?.recording) return this.#find(instance, action, opaque, options);
    return withSpan(this.#tracer, 'proxy.GetActionResult', this.#spanOptions(action, parent), (span) => {
      const answer = (value: Buffer | undefined) => {
        span.setAttributes({ 'cache.hit': value !== undefined, 'cache.size': value?.length });
        return value;
      };
      const value = this.#find(instance, action, opaque, optionsInSpan(options, span));
      return isPending(value) ? value.then(answer) : answer(value);
    });
  }

  #spanOptions(action: Digest, parent: Span): SpanOptions {
    const { name } = this.#results;
    const kept = action.compact();
    return { parent, attributes: () => ({ 'cache.tier': name, 'cache.digest': kept.hash }) };
  }

  #find(
    instance: string,
    action: Digest,
    opaque: boolean,
    options: OperationOptions | undefined,
  ): MaybePromise<Buffer | undefined> {
    const key = actionKey(instance, action);
    const value = this.#results.get(key, options);
    return isPending(value)
      ? value.then((found) => this.#checked(key, found, opaque, options))
      : this.#checked(key, value, opaque, options);
  }

  #checked(
    key: string,
    value: Buffer | undefined,
    opaque: boolean,
    options: OperationOptions | undefined,
  ): MaybePromise<Buffer | undefined> {
    if (!value) return value;
    const isUsable = opaque ? this.#isUsableOrOpaque : this.#isUsable;
    const usable = isUsable(key, value, options);
    if (isPending(usable))
      return usable.then((is) => (is ? value : this.#results.getElsewhere?.(key, isUsable, options)));
    return usable ? value : this.#results.getElsewhere?.(key, isUsable, options);
  }

  /** Whether the value of an action can be handed out: where something is missing that it names, it can't. */
  #check(key: string, value: Buffer, opaque: boolean, options: OperationOptions | undefined): MaybePromise<boolean> {
    const completeness = this.#completeness;
    if (opaque && !completeness) return true;
    let named: ActionResultContents;
    try {
      named = scanActionResult(value, digestFunctionOfKey(key));
    } catch (error) {
      if (!opaque) this.#logger.debug('The value of {Key} is no action result', key, error);
      return opaque;
    }
    if (!completeness) return true;
    const present = completeness.isComplete(named, options);
    if (isPending(present)) return present.then((complete) => this.#noted(complete, key, options));
    return this.#noted(present, key, options);
  }

  #noted(complete: boolean, key: string, options: OperationOptions | undefined): boolean {
    const span = options?.span;
    if (span?.recording) span.setAttribute('cache.complete', complete);
    if (!complete) this.#logger.debug('The result of {Key} names what is not here, and counts as a miss', key);
    return complete;
  }
}
