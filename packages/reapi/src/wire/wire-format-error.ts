/** Bytes that are no message of the type that they were sent as. Edges answer INVALID_ARGUMENT. */
export class WireFormatError extends Error {
  readonly code = 'WIRE_FORMAT';

  constructor(message: string) {
    super(message);
    this.name = 'WireFormatError';
  }
}
