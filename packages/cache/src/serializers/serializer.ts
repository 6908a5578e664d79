/**
 * Turns values into bytes and back, for layers that store bytes. What it can't decode is a miss and no error, so
 * another format or an older one costs a look-up and nothing else.
 */
export interface Serializer<V> {
  /**
   * 0 to 255, stored with each value: bytes of another version are never given to {@link decode}. Granary's own begin
   * at 1; take 16 or more for yours, and another one whenever the shape of the values changes.
   */
  readonly version: number;
  /** @throws when the value can't be said in this format: then it isn't stored, and the caller hears of it */
  encode(value: V): Uint8Array;
  /** @param bytes may be kept, nobody else has them. @throws when they are damaged: a miss */
  decode(bytes: Uint8Array): V;
  /** As {@link decode} of all bytes from `start` on, where that is cheaper: in batches a view for each value shows. */
  decodeFrom?(bytes: Buffer, start: number): V;
  /**
   * {@link decodeFrom} of each, in their order, where that is cheaper for many small ones together. No value may depend on
   * the bytes of another. @throws when any of them is damaged: then each is decoded for itself
   */
  decodeAll?(all: readonly Buffer[], start: number): V[];
}

export interface SerializerOptions {
  /** See {@link Serializer.version}. Default: the serializer's own. */
  readonly version?: number | undefined;
}
