import { DIGEST_FUNCTIONS, type DigestFunction } from '@granary/blobs';
import { invalidRequest } from './protocol-error.js';

/** Which digest functions a server takes; the others are refused with a message that says which these are. */
export class DigestPolicy {
  readonly functions: readonly DigestFunction[];

  /** @throws RangeError when there are none, or one that Granary can't compute */
  constructor(functions: readonly DigestFunction[]) {
    const unknown = functions.filter((fn) => !DIGEST_FUNCTIONS.includes(fn));
    if (unknown.length > 0 || functions.length === 0)
      throw new RangeError(`digestFunctions must be some of ${DIGEST_FUNCTIONS.join(', ')}, not [${functions}]`);
    this.functions = [...new Set(functions)];
  }

  /**
   * @param fn what a request names; undefined for a function that nobody here knows
   * @throws ProtocolError `INVALID_REQUEST`
   */
  require(fn: DigestFunction | undefined): DigestFunction {
    if (fn && this.functions.includes(fn)) return fn;
    throw invalidRequest(
      `the digest function ${fn ?? 'of this request'} is not enabled here; enabled are ${this.functions.join(', ')}`,
    );
  }
}
