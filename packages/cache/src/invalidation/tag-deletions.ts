import { wholeNumber } from '@granary/resilience';

export interface TagDeletionsOptions {
  /** Most tags that are remembered. Default 10,000. */
  readonly maxTags?: number | undefined;
}

/**
 * Which tags were deleted lately, so that a value that was loaded, or is being written, from before its tag was deleted
 * is not kept: take a {@link mark} before the load, and ask {@link since} after the write.
 *
 * Bounded: what it had to forget counts as deleted, so that it errs on the side of loading once more.
 */
export class TagDeletions {
  readonly #maxTags: number;
  /** The number of the last deletion of each tag, the longest ago first. */
  readonly #last = new Map<string, number>();
  #count = 0;
  /** Deletions up to this number may be forgotten. */
  #forgotten = 0;

  /** @throws InvalidOptionError that names the option */
  constructor({ maxTags = 10_000 }: TagDeletionsOptions = {}) {
    this.#maxTags = wholeNumber('maxTags', maxTags);
  }

  /** This moment, for {@link since}. */
  mark(): number {
    return this.#count;
  }

  /** A tag is being deleted. */
  record(tag: string): void {
    this.#last.delete(tag);
    this.#last.set(tag, ++this.#count);
    if (this.#last.size <= this.#maxTags) return;
    const [oldest] = this.#last;
    if (oldest === undefined) return;
    this.#last.delete(oldest[0]);
    this.#forgotten = oldest[1];
  }

  /** Any tag may have been deleted: messages were lost, or everything is being cleared. */
  recordAll(): void {
    this.#last.clear();
    this.#forgotten = ++this.#count;
  }

  /** Whether one of these tags was deleted, or may have been, after the mark. */
  since(mark: number, tags: readonly string[]): boolean {
    if (mark === this.#count || tags.length === 0) return false;
    return mark < this.#forgotten || tags.some((tag) => (this.#last.get(tag) ?? 0) > mark);
  }
}
