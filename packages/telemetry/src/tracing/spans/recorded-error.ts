import { types } from 'node:util';
import { redactStart } from '../../logging/secrets/redaction.js';
import type { Span } from '../tracer.js';

const MAX_MESSAGE_LENGTH = 1024;
/** Codes as Node and we have them: few, and fit for a search. */
const CODE = /^[A-Z][A-Z0-9_]{1,63}$/;

const UNSHOWABLE = 'an error that cannot be shown';

/** What a span says of an error. */
interface RecordedError {
  /** The class of the error. */
  readonly name: string;
  /** Its stable code where it has one, else its class. */
  readonly type: string;
  /** Without secrets, and cut where it is long. */
  readonly message: string;
}

/** Anything thrown, as a span says it. Never throws. */
function recordedError(error: unknown): RecordedError {
  try {
    if (!isError(error)) return { name: typeof error, type: typeof error, message: shown(String(error)) };
    // Many classes don't name their errors.
    const name = String(error.name && error.name !== 'Error' ? error.name : error.constructor.name);
    const code = 'code' in error ? String(error.code) : '';
    return { name, type: CODE.test(code) ? code : name, message: shown(String(error.message)) };
  } catch {
    return { name: 'Error', type: 'Error', message: UNSHOWABLE };
  }
}

/** Tells a span of an error: by an event, an attribute and its status. */
export function tellError(span: Pick<Span, 'addEvent' | 'setAttribute' | 'setStatus'>, error: unknown): void {
  const { name, type, message } = recordedError(error);
  span.addEvent('exception', { 'exception.type': name, 'exception.message': message });
  span.setAttribute('error.type', type);
  span.setStatus('error', message);
}

/** A message without secrets, and cut where it is long. Never throws, whatever stands where a text should. */
export function shown(message: unknown): string {
  try {
    return redactStart(String(message), MAX_MESSAGE_LENGTH);
  } catch {
    return UNSHOWABLE;
  }
}

/** Also one of another realm, such as Node's own in the contexts that jest runs tests in. */
function isError(error: unknown): error is Error {
  return error instanceof Error || types.isNativeError(error);
}
