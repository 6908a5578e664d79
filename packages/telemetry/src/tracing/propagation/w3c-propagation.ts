import { isId } from '../trace-ids.js';
import type { TracePropagation } from './propagation.js';

/** `00-` trace id `-` span id `-` flags */
const TRACEPARENT_LENGTH = 55;
const HEX_BYTE = /^[0-9a-f]{2}$/;
const SAMPLED = 1;

const MAX_STATE_LENGTH = 4096;
const MAX_STATE_MEMBERS = 32;
/** Spaces within are passed over once, and not once for each of them. */
const AROUND = /^[ \t]+|(?<![ \t])[ \t]+$/g;
const STATE_MEMBER =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/**
 * W3C Trace Context, level 1: `traceparent` and `tracestate`. A header of a later version is read as far as version 00
 * goes; one that breaks the rules is as good as none.
 */
export const w3cPropagation: TracePropagation = {
  extract(read) {
    const header = read('traceparent');
    if (header === undefined || header.length < TRACEPARENT_LENGTH) return undefined;
    const version = header.slice(0, 2);
    if (!HEX_BYTE.test(version) || version === 'ff') return undefined;
    if (header[2] !== '-' || header[35] !== '-' || header[52] !== '-') return undefined;
    // Later versions may add fields, this one may not.
    if (header.length > TRACEPARENT_LENGTH && (version === '00' || header[TRACEPARENT_LENGTH] !== '-'))
      return undefined;
    const traceId = header.slice(3, 35);
    const spanId = header.slice(36, 52);
    const flags = header.slice(53, TRACEPARENT_LENGTH);
    if (!isId(traceId, 32) || !isId(spanId, 16) || !HEX_BYTE.test(flags)) return undefined;
    const sampled = (Number.parseInt(flags, 16) & SAMPLED) !== 0;
    const traceState = stateOf(read('tracestate'));
    return { traceId, spanId, sampled, traceState };
  },

  inject({ traceId, spanId, sampled, traceState }, write) {
    write('traceparent', `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`);
    if (traceState) write('tracestate', traceState);
  },
};

/** The header as it came, or undefined where it is broken: then the trace goes on without it. */
function stateOf(header: string | undefined): string | undefined {
  if (!header || header.length > MAX_STATE_LENGTH) return undefined;
  const members = header.split(',').map((member) => member.replace(AROUND, ''));
  if (members.length > MAX_STATE_MEMBERS) return undefined;
  return members.every((member) => member === '' || STATE_MEMBER.test(member)) ? header : undefined;
}
