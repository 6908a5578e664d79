import {
  type ActionResultStore,
  Digest,
  type DigestFunction,
  isDigestFunction,
  type OperationOptions,
  StoreClosedError,
} from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import { decodeOpaqueValue, encodeOpaqueValue, isActionResult } from '../services/opaque-value.js';
import { encodeGetActionResultRequest, encodeUpdateActionResultRequest, type RequestedDigest } from '../wire/index.js';
import { hasStatus } from './connection/call-failure.js';
import type { Peer } from './connection/peer.js';

const SERVICE = '/build.bazel.remote.execution.v2.ActionCache';
const GET = `${SERVICE}/GetActionResult`;
const UPDATE = `${SERVICE}/UpdateActionResult`;

/**
 * The size that actions are given, since keys have none: peers look for results by the hash, and some refuse a size
 * of 0.
 */
const ACTION_SIZE = 1;

/** Results on their way or waiting for one of the same action, at most. */
const MAX_PENDING = 4096;

const nothing = () => {};

interface Action {
  readonly digestFunction: DigestFunction;
  readonly instanceName: string;
  readonly actionDigest: RequestedDigest;
}

/**
 * Another cache's action results, passed through as bytes. Nothing can be deleted: the protocol has no call for it.
 *
 * What else HTTP clients keep under the names of actions travels within results: peers take nothing but those.
 */
export class GrpcActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #peer: Peer;
  /** By key, what the next result of the action waits for. */
  readonly #last = new Map<string, Promise<void>>();
  #pending = 0;
  #closed = false;

  constructor(peer: Peer) {
    this.name = peer.name;
    this.#peer = peer;
  }

  async get(key: string, options?: OperationOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const action = this.#action(key);
    const { digestFunctions } = await this.#peer.capabilities(options?.signal);
    if (!digestFunctions.has(action.digestFunction)) return undefined;
    const request = encodeGetActionResultRequest({
      ...action,
      inlineStdout: false,
      inlineStderr: false,
      inlineOutputFiles: [],
    });
    try {
      const found = await this.#peer.unary(GET, request, options);
      return decodeOpaqueValue(found) ?? found;
    } catch (error) {
      if (hasStatus(error, CODES.NOT_FOUND)) return undefined;
      throw error;
    }
  }

  /**
   * @throws RemoteStoreError `refused` when the peer takes no results, or doesn't know the digest function; `invalid` when it
   *   will not have this one
   */
  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    const action = this.#action(key);
    // The caller may change it as soon as it has a promise.
    const actionResult = isActionResult(value, action.digestFunction) ? Buffer.from(value) : encodeOpaqueValue(value);
    if (this.#pending >= MAX_PENDING)
      throw this.#peer.failure('exhausted', 'too many action results wait for their turn');
    this.#pending++;
    // Two calls may travel on two connections, and the value that was written last is to stay.
    const before = this.#last.get(key);
    const sent = before
      ? before.then(() => this.#update(action, actionResult, options))
      : this.#update(action, actionResult, options);
    const settled = sent.then(nothing, nothing);
    this.#last.set(key, settled);
    try {
      await sent;
    } finally {
      this.#pending--;
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }

  async #update(action: Action, actionResult: Buffer, options: OperationOptions | undefined): Promise<void> {
    this.#checkUsable(options);
    const { digestFunctions, updatesActions } = await this.#peer.capabilities(options?.signal);
    if (!updatesActions)
      throw this.#peer.failure('refused', 'the peer takes no action results from here', { unfit: true });
    if (!digestFunctions.has(action.digestFunction))
      throw this.#peer.failure('refused', `the peer does not know the digest function ${action.digestFunction}`, {
        unfit: true,
      });
    try {
      await this.#peer.unary(UPDATE, encodeUpdateActionResultRequest({ ...action, actionResult }), options);
    } catch (error) {
      // Peers look into results. bazel-remote says UNKNOWN where a field is not as it wants it, an absolute path for one;
      // others say that of what went wrong within them.
      if (hasStatus(error, CODES.INVALID_ARGUMENT)) throw error.asRejection(true);
      throw hasStatus(error, CODES.UNKNOWN) ? error.asRejection(false) : error;
    }
  }

  /** The protocol has no call for it. */
  async delete(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #action(key: string): Action {
    const [fn = '', hash = '', ...rest] = key.split('/');
    if (!isDigestFunction(fn)) throw new RangeError('this is no key of an action result');
    const actionDigest = Digest.parse(fn, hash, ACTION_SIZE);
    const own = rest.join('/');
    const { instance } = this.#peer;
    return {
      digestFunction: fn,
      instanceName: instance && own ? `${instance}/${own}` : instance || own,
      actionDigest,
    };
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
