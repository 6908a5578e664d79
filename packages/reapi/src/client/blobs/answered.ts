import { InvalidDigestError } from '@granary/blobs';
import { WireFormatError } from '../../wire/index.js';
import type { Peer } from '../connection/peer.js';

/**
 * Decodes what a peer answered.
 *
 * @throws RemoteStoreError `invalid` when it is no message of that kind
 */
export function answered<T>(peer: Peer, method: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof WireFormatError || cause instanceof InvalidDigestError)
      throw peer.failure('invalid', `${method} was answered with a message that is malformed: ${cause.message}`, {
        cause,
      });
    throw cause;
  }
}
