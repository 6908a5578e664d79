import { serializerVersion } from './frame.js';
import type { Serializer, SerializerOptions } from './serializer.js';

const VERSION = 3;

/** What packs and unpacks: a `Packr` of the package `msgpackr` fits, and so does the package itself. */
export interface MessagePackCodec {
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

/**
 * MessagePack: smaller than JSON, and with bytes, dates, maps and sets as far as the codec knows them.
 *
 * @param codec handed in, so that only who uses it installs it: `messagePackSerializer(new Packr())`. It must not share
 * structures between messages (msgpackr's option `structures`), because another process has others
 */
export function messagePackSerializer<V>(codec: MessagePackCodec, options: SerializerOptions = {}): Serializer<V> {
  return {
    version: serializerVersion(options.version ?? VERSION),
    encode: (value) => codec.pack(value),
    decode: (bytes) => codec.unpack(bytes) as V,
  };
}
