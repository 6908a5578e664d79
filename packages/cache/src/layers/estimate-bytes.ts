/** Key, table and lists of an entry. */
const ENTRY_BYTES = 120;
const WORD_BYTES = 8;
const STRING_BYTES = 16;
const OBJECT_BYTES = 24;
const VIEW_BYTES = 96;

/**
 * About how much memory an entry takes: its value with everything that hangs on it, its key and the bookkeeping. Counts
 * each object once, however often it occurs; looks into arrays, maps, sets and plain properties, not into closures.
 *
 * Cost: a walk through the value, about as long as `JSON.stringify` takes.
 */
export function estimateBytes(value: unknown, key: string): number {
  let bytes = ENTRY_BYTES + stringBytes(key);
  if (typeof value !== 'object' || value === null) return bytes + primitiveBytes(value);
  const seen = new Set<object>([value]);
  const add = (part: unknown) => {
    bytes += WORD_BYTES;
    if (typeof part !== 'object' || part === null) bytes += primitiveBytes(part);
    else seen.add(part);
  };
  // A set gives what is added to it during the walk, too.
  for (const object of seen) {
    bytes += OBJECT_BYTES;
    if (object instanceof ArrayBuffer || object instanceof SharedArrayBuffer) bytes += object.byteLength;
    else if (ArrayBuffer.isView(object)) bytes += VIEW_BYTES + object.byteLength;
    else if (Array.isArray(object)) for (const item of object) add(item);
    else if (object instanceof Map) for (const pair of object) pair.forEach(add);
    else if (object instanceof Set) for (const item of object) add(item);
    else for (const name in object) add((object as Record<string, unknown>)[name]);
  }
  return bytes;
}

function primitiveBytes(value: unknown): number {
  if (typeof value === 'string') return stringBytes(value);
  return typeof value === 'bigint' ? STRING_BYTES + value.toString(16).length / 2 : 0;
}

/** Plain text takes a byte a character, anything else up to two. */
function stringBytes(text: string): number {
  const { length } = text;
  return STRING_BYTES + (Buffer.byteLength(text) === length ? length : 2 * length);
}
