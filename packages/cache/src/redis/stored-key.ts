import { InvalidOptionError } from '@granary/resilience';

/** Whether a text has no half of a surrogate pair without the other: UTF-8 has no bytes for it, so such keys would be one. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** The key as UTF-8 can say it. Control characters are in no key, so one of them marks what is written in another way. */
export function storable(key: string): string {
  return isWellFormed(key) ? key : `\u0000${Buffer.from(key, 'utf16le').toString('base64')}`;
}

/** The key of which {@link storable} made this. */
export function keyOf(stored: string): string {
  return stored.startsWith('\u0000') ? Buffer.from(stored.slice(1), 'base64').toString('utf16le') : stored;
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

  /** What SCAN finds all names with. */
  pattern(outerPrefix: string): string {
    return `${(outerPrefix + this.prefix).replace(/[\\*?[\]]/g, '\\$&')}*`;
  }
}
