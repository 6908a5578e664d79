import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { WireFormatError } from './wire-format-error.js';

/**
 * Decodes a message that is not worth a codec of its own with the generated code.
 *
 * @throws WireFormatError
 */
export function decodeGenerated<M extends DescMessage>(schema: M, bytes: Buffer): MessageShape<M> {
  try {
    // Nobody sends on what was decoded, and to keep fields that are not known takes seconds where there are millions.
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new WireFormatError(error instanceof Error ? error.message : String(error));
  }
}

export function encodeGenerated<M extends DescMessage>(schema: M, message: MessageInitShape<M>): Buffer {
  const bytes = toBinary(schema, create(schema, message));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
