/** What gRPC puts before each message: a byte of flags and four of length. */
export const FRAME_HEADER_BYTES = 5;

/** A response behind room for its frame's header, in memory that is used again. */
export interface FramedResponse {
  /** Begins with {@link FRAME_HEADER_BYTES} bytes to be overwritten. */
  readonly bytes: Buffer;
  /** Called once nobody reads the memory any more; not called when the client went away before. */
  readonly release: () => void;
}

interface Layer {
  readonly call?: Layer;
  readonly nextCall?: Layer;
  serializeMessage?: (message: Buffer) => Buffer;
  sendMessage?: (message: Buffer, callback: () => void) => void;
}

/**
 * Prepares a unary call to send this response as it lies. By itself grpc-js copies every message behind a header, into
 * fresh memory, which costs a batch of blobs more than to read it (benchmark `BatchReadBlobs 100x4KiB`). It has no option
 * for that, so this looks through its layers; where they change, messages are copied again and everything else goes on.
 *
 * @returns whether the next message of the call will be sent like this; if not, the memory is free after it was given
 */
export function sendAsItLies(call: object, { bytes, release }: FramedResponse): boolean {
  for (let layer: Layer | undefined = call; layer; layer = layer.call ?? layer.nextCall) {
    const { serializeMessage, sendMessage } = layer;
    if (typeof serializeMessage !== 'function' || typeof sendMessage !== 'function') continue;
    writeFrameHeader(bytes);
    layer.serializeMessage = () => bytes;
    layer.sendMessage = (message, callback) =>
      sendMessage.call(layer, message, () => {
        release();
        callback();
      });
    return true;
  }
  return false;
}

/**
 * Lets a stream send messages as they lie, for the same reason (benchmarks `tiers` and `ByteStream Read 64MiB`). Node calls
 * back when the socket has sent a message; a stream that ends early may leave its memory to the socket.
 */
export class FramedMessages {
  /** The one that is on its way to grpc-js. */
  #bytes: Buffer | undefined;
  #message: Buffer | undefined;

  /** For the messages of a call; undefined where grpc-js has other layers. */
  static of(call: object): FramedMessages | undefined {
    for (let layer: Layer | undefined = call; layer; layer = layer.call ?? layer.nextCall) {
      const { serializeMessage } = layer;
      if (typeof serializeMessage !== 'function') continue;
      const copy = serializeMessage.bind(layer);
      const framed = new FramedMessages();
      layer.serializeMessage = (message) => framed.#take(message) ?? copy(message);
      return framed;
    }
    return undefined;
  }

  /**
   * The message to hand over next, as a view of its frame.
   *
   * @param bytes begin with {@link FRAME_HEADER_BYTES} bytes to be overwritten
   */
  next(bytes: Buffer): Buffer {
    writeFrameHeader(bytes);
    this.#bytes = bytes;
    this.#message = bytes.subarray(FRAME_HEADER_BYTES);
    return this.#message;
  }

  #take(message: Buffer): Buffer | undefined {
    if (message !== this.#message) return undefined;
    const bytes = this.#bytes;
    this.#bytes = undefined;
    this.#message = undefined;
    return bytes;
  }
}

/** Writes the header of a message that is not compressed before it. */
export function writeFrameHeader(frame: Buffer): void {
  frame[0] = 0; // not compressed
  frame.writeUInt32BE(frame.length - FRAME_HEADER_BYTES, 1);
}
