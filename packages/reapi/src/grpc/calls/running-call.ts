// The global of this name is looked up at each use.
import { performance } from 'node:perf_hooks';
import type { MaybePromise, OperationOptions } from '@granary/blobs';
import { type Logger, noopSpan, type Span } from '@granary/telemetry';
import { tracedLogger, traceOf } from '@granary/telemetry/server';
import { status as CODES } from '@grpc/grpc-js';
import { AccessDeniedError, type EdgeHooks, type Right } from '../../edge/hooks.js';
import { VIA_HEADER, viaFrom } from '../../edge/via.js';
import { isPending } from '../../services/pending.js';
import { credentialsOf } from './call-credentials.js';
import { type CallSpans, endCallSpan } from './call-spans.js';
import type { FramedResponse } from './framed-response.js';
import type { MethodName, ServerCall } from './server-call.js';
import { CallEndedError, type GrpcStatus, isOurFault, toStatus } from './status.js';

/** A timer may ring before the clock shows its time, and it is a timer that ends a call at its deadline. */
const EARLY_MS = 2;

/** What every call of a server has around it. */
export interface Edge {
  readonly hooks: EdgeHooks;
  readonly logger: Logger;
  readonly spans: CallSpans;
  /** Calls that are under way. */
  readonly running: { count: number };
  /** This server as others know it, to notice a circle of servers; undefined for one that asks no others. */
  readonly serverId: string | undefined;
  /** The metadata of calls that were let in before they had their message; taken out when their handler asks. */
  readonly admitted: WeakSet<object>;
  /** How long a stream may stand still because of its client, in milliseconds. */
  readonly streamIdleMs: number;
  /** Largest message that is taken, but for methods that say otherwise, in bytes. */
  readonly maxMessageBytes: number;
}

/** One call from its first byte to its record. */
export class RunningCall {
  /** Stands for the call in its trace. */
  readonly span: Span;
  /** Whether the call's record is to have a subject and a peer: as it was wanted when the call began. */
  readonly wantsDetails: boolean;
  bytesIn = 0;
  bytesOut = 0;
  /** What was asked for; worth setting only when {@link wantsDetails}. */
  subject: string | undefined;
  /** The response of a unary call with room for its frame's header, where it lies in memory that is used again. */
  framed: FramedResponse | undefined;
  readonly #edge: Edge;
  readonly #method: MethodName;
  readonly #call: ServerCall;
  readonly #startedAt: number;
  /** Taken at the start: who is gone has no address any more, and is the one whom the log is asked about. */
  readonly #peer: string | undefined;
  #controller: AbortController | undefined;
  #via: readonly string[] | undefined;
  #finished = false;

  constructor(edge: Edge, method: MethodName, call: ServerCall) {
    this.#edge = edge;
    this.#method = method;
    this.#call = call;
    this.wantsDetails = edge.hooks.wantsDetails?.() === true;
    this.#peer = this.wantsDetails ? call.getPeer() : undefined;
    this.#startedAt = edge.hooks.onRequest ? performance.now() : 0;
    this.span = edge.spans.start(method, call);
    edge.running.count++;
  }

  /** For what goes wrong in this call: made when it is asked for. */
  get logger(): Logger {
    return tracedLogger(this.#edge.logger, this.span);
  }

  /** For stores: the call itself, since it has a signal and a span. An object made for each call would cost more than the call. */
  get options(): OperationOptions {
    return this;
  }

  /**
   * Aborts when the client cancels, goes away or its deadline passes. It is only made when somebody reads it, which a
   * store that answers at once need not do.
   */
  get signal(): AbortSignal {
    if (this.#controller) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    if (this.#call.cancelled) controller.abort(this.#ended());
    else
      this.#call.once('cancelled', () => {
        // grpc-js says so at the end of every call, of those that went well too.
        if (!this.#finished) controller.abort(this.#ended());
      });
    return controller.signal;
  }

  /** The servers that the request has passed, this one at the end. */
  get via(): readonly string[] | undefined {
    return this.#via;
  }

  /**
   * @throws AccessDeniedError
   * @throws LoopError when the request was here before
   */
  authorize(): MaybePromise<unknown> {
    const { serverId } = this.#edge;
    if (serverId !== undefined) this.#via = viaFrom(this.#call.metadata.get(VIA_HEADER)[0]?.toString(), serverId);
    const { right } = this.#method;
    if (this.#edge.admitted.delete(this.#call.metadata)) return;
    return right && this.#edge.hooks.authorize?.(credentialsOf(this.#call), right);
  }

  /** Whether the caller has another right than the one that the method asks for. */
  allows(right: Right): MaybePromise<boolean> {
    const { allows, authorize } = this.#edge.hooks;
    const ask = allows ?? authorize;
    if (!ask) return true;
    try {
      const answer = ask(credentialsOf(this.#call), right);
      return isPending<string | boolean>(answer) ? answer.then(isYes, refusal) : isYes(answer);
    } catch (error) {
      return refusal(error);
    }
  }

  /** Ends the call's record with a success. */
  succeed(): void {
    this.#finish(CODES.OK);
  }

  /** Ends the call's record with an error and says which status it is. */
  fail(error: unknown): GrpcStatus {
    const reason = this.#call.cancelled ? this.#ended() : error;
    const status = toStatus(reason);
    if (isOurFault(status.code))
      this.logger.error('{Service}/{Method} failed', this.#method.service, this.#method.name, reason);
    this.#finish(status.code, reason);
    return status;
  }

  #finish(code: CODES, error?: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#edge.running.count--;
    if (this.span.recording) endCallSpan(this.span, code, error);
    const { onRequest } = this.#edge.hooks;
    if (!onRequest) return;
    try {
      const { wantsDetails: wanted } = this;
      const trace = this.span === noopSpan ? undefined : traceOf(this.span, wanted);
      // Without spreads: they took longer than the rest of a record (`bench/telemetry.mjs`).
      onRequest({
        protocol: 'grpc',
        service: this.#method.service,
        method: this.#method.name,
        code: CODES[code],
        durationMs: performance.now() - this.#startedAt,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        peer: this.#peer,
        subject: this.subject,
        error: isOurFault(code) ? error : undefined,
        traceId: trace?.traceId,
        spanId: trace?.spanId,
        sampled: trace?.sampled,
      });
    } catch (failure) {
      this.#edge.logger.error('The record of a request could not be written', failure);
    }
  }

  #ended(): CallEndedError {
    return new CallEndedError(
      Number(this.#call.getDeadline()) <= Date.now() + EARLY_MS ? 'DEADLINE_EXCEEDED' : 'CANCELLED',
    );
  }
}

/** {@link EdgeHooks.authorize} says yes with a name. */
function isYes(answer: string | boolean): boolean {
  return answer !== false;
}

function refusal(error: unknown): false {
  if (error instanceof AccessDeniedError) return false;
  throw error;
}
