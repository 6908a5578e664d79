const BRAND: unique symbol = Symbol.for('granary.protocol-error') as never;

/** What is wrong with a request in the protocol's own terms. Edges choose their status by this code, and only there. */
export type ProtocolErrorCode =
  | 'INVALID_REQUEST' // the request breaks the protocol or a limit that it was told of
  | 'MESSAGE_TOO_LARGE' // its message is larger than this server reads
  | 'NOT_FOUND' // what it asks for is not here
  | 'OUT_OF_RANGE' // it asks for bytes outside of a blob
  | 'READ_ONLY' // it wants to change what this server only hands out
  | 'UNSERVABLE' // what it asks for is here, but beyond what this server can hand out
  | 'IDLE'; // the client began and then did nothing for too long

/** A request that can't be served for what it says or what it asks for; the server itself is well. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  readonly [BRAND] = true;

  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProtocolError';
    this.code = code;
  }
}

/** Whether this is a {@link ProtocolError}, even one of another copy of this package. */
export function isProtocolError(error: unknown): error is ProtocolError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

export function invalidRequest(message: string): ProtocolError {
  return new ProtocolError('INVALID_REQUEST', message);
}
