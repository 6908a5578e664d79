import { isId } from '../trace-ids.js';
import type { HeaderReader } from '../tracer.js';
import type { IncomingContext, IncomingDecision, TracePropagation } from './propagation.js';

const SINGLE = 'b3';
const TRACE_ID = 'x-b3-traceid';
const SPAN_ID = 'x-b3-spanid';
const SAMPLED = 'x-b3-sampled';
const FLAGS = 'x-b3-flags';

/** What `b3` and `x-b3-sampled` say of the decision; some older senders write words. */
const DECISIONS: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['true', true],
  ['0', false],
  ['false', false],
]);
const DEBUG = 'd';

/** What stands in `b3` where there are no ids: the decision for a trace that begins with the request. */
const BARE: ReadonlyMap<string, IncomingDecision> = new Map([
  ['1', 'sampled'],
  ['0', 'unsampled'],
  [DEBUG, 'debug'],
]);

/**
 * Zipkin's B3. Read are the header `b3` and, where there is none, the headers `x-b3-*`; written is `b3`, which everyone
 * reads who reads B3 at all. Trace ids of 64 bits get zeros in front.
 */
export const b3Propagation: TracePropagation = {
  extract(read) {
    const single = read(SINGLE);
    return single === undefined ? fromMany(read) : fromOne(single);
  },

  inject({ traceId, spanId, sampled, debug }, write) {
    write(SINGLE, `${traceId}-${spanId}-${sampled ? (debug ? DEBUG : '1') : '0'}`);
  },
};

/** `TRACE-SPAN`, `TRACE-SPAN-DECISION`, `TRACE-SPAN-DECISION-PARENT`, or the decision alone. */
function fromOne(header: string): IncomingContext | IncomingDecision | undefined {
  const bare = BARE.get(header);
  if (bare !== undefined) return bare;
  const [traceId = '', spanId = '', decision, parentId, ...more] = header.split('-', 5);
  if (more.length > 0 || (parentId !== undefined && !isId(parentId, 16))) return undefined;
  if (decision === undefined) return contextOf(traceId, spanId, undefined, false);
  if (decision === DEBUG) return contextOf(traceId, spanId, true, true);
  if (decision !== '0' && decision !== '1') return undefined;
  return contextOf(traceId, spanId, decision === '1', false);
}

function fromMany(read: HeaderReader): IncomingContext | IncomingDecision | undefined {
  const traceId = read(TRACE_ID);
  const decision = DECISIONS.get(read(SAMPLED)?.toLowerCase() ?? '');
  const debug = read(FLAGS) === '1';
  if (traceId === undefined) return debug ? 'debug' : bareDecision(decision);
  return contextOf(traceId, read(SPAN_ID) ?? '', debug || decision, debug);
}

function bareDecision(sampled: boolean | undefined): IncomingDecision | undefined {
  if (sampled === undefined) return undefined;
  return sampled ? 'sampled' : 'unsampled';
}

function contextOf(
  traceId: string,
  spanId: string,
  sampled: boolean | undefined,
  debug: boolean,
): IncomingContext | undefined {
  if (!isId(spanId, 16) || !(isId(traceId, 32) || isId(traceId, 16))) return undefined;
  return { traceId: traceId.padStart(32, '0'), spanId, sampled, ...(debug && { debug }) };
}
