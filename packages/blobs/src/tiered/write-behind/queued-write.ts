import { Digest } from '../../digest.js';
import { isDigestFunction } from '../../digest-function.js';
import { actionResultPin, blobPin } from '../../disk/index/entry-pins.js';

/** What a write brings to the tier: a blob, or the result of an action by its key. */
export type QueuedContent = { readonly blob: Digest } | { readonly actionResult: string };

/** A write that waits in the queue of one tier. */
export class QueuedWrite {
  /** Its place in the queue. */
  readonly sequence: number;
  readonly tier: string;
  readonly content: QueuedContent;
  /** When it was asked for: milliseconds since the epoch. */
  readonly since: number;
  /** The same for all writes of the same content; what the entry of the local store is pinned by. */
  readonly id: string;
  /** Attempts that failed for a reason of its own. */
  failures = 0;
  /** Resolves when it is in the journal. */
  kept: Promise<void> = Promise.resolve();

  constructor(sequence: number, tier: string, content: QueuedContent, since: number) {
    this.sequence = sequence;
    this.tier = tier;
    this.content = content;
    this.since = since;
    this.id = idOf(content);
  }

  /** Bytes of content that wait with it; those of an action result don't count. */
  get bytes(): number {
    return 'blob' in this.content ? this.content.blob.size : 0;
  }

  get isBlob(): boolean {
    return 'blob' in this.content;
  }

  /** As the journal has it, without its sequence, which is the key. */
  encode(): Buffer {
    const { tier, since, content } = this;
    const what =
      'blob' in content
        ? { blob: [content.blob.function, content.blob.hash, content.blob.size] }
        : { result: content.actionResult };
    return Buffer.from(JSON.stringify({ tier, since, ...what }));
  }

  /** The inverse of {@link encode}; undefined when this is none. */
  static decode(sequence: number, bytes: Buffer): QueuedWrite | undefined {
    try {
      const { tier, since, blob, result } = JSON.parse(bytes.toString()) as Record<string, unknown>;
      if (typeof tier !== 'string' || typeof since !== 'number') return undefined;
      if (typeof result === 'string') return new QueuedWrite(sequence, tier, { actionResult: result }, since);
      const [fn, hash, size] = blob as [unknown, unknown, unknown];
      if (typeof fn !== 'string' || !isDigestFunction(fn) || typeof hash !== 'string' || typeof size !== 'number')
        return undefined;
      return new QueuedWrite(sequence, tier, { blob: Digest.parse(fn, hash, size) }, since);
    } catch {
      return undefined;
    }
  }

  toString(): string {
    return 'blob' in this.content ? String(this.content.blob) : `the result of ${this.content.actionResult}`;
  }
}

function idOf(content: QueuedContent): string {
  return 'blob' in content ? blobPin(content.blob) : actionResultPin(content.actionResult);
}
