import { InvalidOptionError } from '@granary/resilience';

/** Whether a text has no half of a surrogate pair without the other: UTF-8 has no bytes for it, so such keys would be one. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** In front of a key that is written in another way: control characters are in no key. */
const MARK = '\u0000';

/** The key as UTF-8 can say it. Control characters are in no key, so one of them marks what is written in another way. */
export function storable(key: string): string {
  return isWellFormed(key) ? key : `${MARK}${Buffer.from(key, 'utf16le').toString('base64')}`;
}

/** The key of which {@link storable} made this. */
export function keyOf(stored: string): string {
  return stored.startsWith(MARK) ? Buffer.from(stored.slice(1), 'base64').toString('utf16le') : stored;
}

/** How keys are named in Redis: below a prefix, so that others can use the same Redis. */
export class StoredKeys {
  readonly prefix: string;

  /** @throws InvalidOptionError for an empty prefix, because to clear would then be to clear everything that is there */
  constructor(prefix: string) {
    if (typeof prefix !== 'string' || prefix === '' || !isWellFormed(prefix)) {
      throw new InvalidOptionError('prefix', 'a text that is not empty', prefix);
    }
    this.prefix = prefix;
  }

  /** Its name in Redis. */
  of(key: string): string {
    return this.prefix + storable(key);
  }

  /** The key that has this name. */
  keyOf(name: string): string {
    return keyOf(name.slice(this.prefix.length));
  }

  /**
   * Patterns with which SCAN finds the names of all keys that begin alike, and perhaps some others.
   *
   * @param outerPrefix what the client puts in front of names by itself
   */
  patterns(outerPrefix: string, keyPrefix: string): string[] {
    const all = outerPrefix + this.prefix;
    // Half a pair of surrogates may become whole by what comes behind it, or make the key one that is written otherwise.
    const wellFormed = /^\P{Surrogate}*/u.exec(keyPrefix)?.[0] ?? '';
    return wellFormed === '' ? [startingWith(all)] : [startingWith(all + wellFormed), startingWith(all + MARK)];
  }
}

function startingWith(text: string): string {
  return `${text.replace(/[\\*?[\]]/g, '\\$&')}*`;
}
