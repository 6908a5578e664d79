import { serializerVersion } from './frame.js';
import type { Serializer, SerializerOptions } from './serializer.js';

const VERSION = 2;

/** Bytes as they are. Whoever gets them has them alone and may change them. */
export function bytesSerializer(options: SerializerOptions = {}): Serializer<Uint8Array> {
  return {
    version: serializerVersion(options.version ?? VERSION),
    encode: (value) => value,
    decode: (bytes) => bytes,
  };
}
