import { InvalidKeyError } from '../errors.js';
import { checkKey } from '../key.js';
import type { MaybePromise, OpOptions } from '../layer.js';

/** Most tags of one value. */
export const MAX_TAGS = 64;

/** @throws InvalidKeyError when a tag is not what a key may be, or when there are over 64 */
export function checkTags(tags: readonly string[]): void {
  if (!Array.isArray(tags)) throw new InvalidKeyError('tags are a list of strings');
  if (tags.length > MAX_TAGS) throw new InvalidKeyError(`a value has at most ${MAX_TAGS} tags, not ${tags.length}`);
  for (const tag of tags) checkTag(tag);
}

/** @throws InvalidKeyError when the tag is not what a key may be */
export function checkTag(tag: string): void {
  try {
    checkKey(tag);
  } catch (error) {
    throw new InvalidKeyError(`as a tag: ${(error as Error).message}`);
  }
}

export interface TagOptions extends OpOptions {
  /** When the value is of no use any more, its grace included, in milliseconds since 1970. Default: never. */
  readonly expiresAt?: number | undefined;
}

/** Some of the keys that have a tag. */
export interface TaggedKeys {
  readonly keys: readonly string[];
  /**
   * Forgets that these keys have the tag; to be called when they are deleted from every layer. A key that was given the
   * tag again meanwhile is not forgotten.
   */
  forget(options?: OpOptions): MaybePromise<void>;
}

/**
 * Which keys have which tag. Reading a value asks nothing of it: it is told of every write with tags, and asked when a
 * tag is deleted.
 *
 * What writes must add the tags before the value, and not write the value when that fails: a key too many is deleted for
 * nothing, a key too few stays after its tag was deleted. For the same reason a value that loses its tags, or is
 * deleted by its key, need not be told.
 */
export interface TagIndex {
  /** Whether all processes that share the layers share the index too; else each knows only what it wrote itself. */
  readonly shared: boolean;
  /**
   * Remembers that each of these keys has all of these tags, beside those that it has.
   *
   * @returns keys that the index had to forget to make room: whoever calls deletes them, because no tag would
   */
  add(keys: readonly string[], tags: readonly string[], options?: TagOptions): MaybePromise<readonly string[]>;
  /** All keys with this tag in batches of at most some hundreds; some may be gone from the layers. Ends by itself. */
  keysOf(tag: string, options?: OpOptions): AsyncIterable<TaggedKeys>;
  /** Forgets everything; to be called when every layer is cleared. */
  clear(options?: OpOptions): MaybePromise<void>;
  /** May be called twice. */
  close(): MaybePromise<void>;
}
