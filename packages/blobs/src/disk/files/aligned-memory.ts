/** Of what a runtime has, the part that is needed here; the language's own types don't name it. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** What a page of WebAssembly's memory has. */
const WASM_PAGE_BYTES = 64 * 1024;

export type AlignedPair = readonly [Buffer, Buffer];

/**
 * Buffers of one size that begin at the beginning of a page, as direct I/O needs them. JavaScript can't ask for that; but
 * WebAssembly's memory always does. The system gives a page when it is first written, so what is never lent costs nothing.
 */
export class AlignedMemory {
  readonly #memory: ArrayBuffer | undefined;
  readonly #idle: Buffer[] = [];

  constructor(bufferBytes: number, count: number) {
    const pages = (bufferBytes * count) / WASM_PAGE_BYTES;
    try {
      const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
      for (let i = count - 1; i >= 0; i--) this.#idle.push(Buffer.from(buffer, i * bufferBytes, bufferBytes));
      this.#memory = buffer;
    } catch {
      // Where address space is rationed, there is none to lend.
    }
  }

  /** Two buffers; undefined when all are lent. Both have to be given back. */
  takePair(): AlignedPair | undefined {
    if (this.#idle.length < 2) return undefined;
    return [this.#idle.pop() as Buffer, this.#idle.pop() as Buffer];
  }

  /** Takes back one of its own; false for others. */
  give(buffer: Buffer): boolean {
    const isOwn = buffer.buffer === this.#memory;
    if (isOwn) this.#idle.push(buffer);
    return isOwn;
  }
}
