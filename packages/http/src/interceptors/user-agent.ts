import { InvalidOptionError } from '@granary/resilience';
import type { HttpInterceptor } from '../dispatch.js';
import { headerRecord } from '../headers.js';
import { interceptor } from './interceptor.js';

const PRINTABLE = /^[\x20-\x7e]+$/;

/** @throws {@link InvalidOptionError} when it can't be a header's value */
export function checkUserAgent(value: string): string {
  if (!PRINTABLE.test(value)) throw new InvalidOptionError('userAgent', 'printable ASCII', JSON.stringify(value));
  return value;
}

/** Says who asks, in requests that don't say so themselves. Feeds block clients that they can't name. */
export function userAgent(value: string): HttpInterceptor {
  checkUserAgent(value);
  return interceptor((dispatch) => (options, handler) => {
    const headers = headerRecord(options.headers);
    headers['user-agent'] ??= value;
    return dispatch({ ...options, headers }, handler);
  });
}
