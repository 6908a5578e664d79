import { HttpError } from '../http-error.js';

const MAX_BOUNDARY = 200;
const MAX_PART_HEADER = 16 * 1024;
const MAX_PARTS = 32;
const [LF, CR, HYPHEN, SPACE, TAB] = [0x0a, 0x0d, 0x2d, 0x20, 0x09];
const NONE = Buffer.alloc(0);

/**
 * The delimiter's text in the type of a form.
 *
 * @throws HttpError 400 for a form that names none
 */
export function boundaryOf(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^";\s]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary !== undefined && boundary.length <= MAX_BOUNDARY) return boundary;
  throw new HttpError(400, 'the form has no boundary that makes sense');
}

/**
 * Finds the first file in a form (`multipart/form-data`, RFC 7578) while it arrives, and keeps at most a part's header of
 * it in memory. Lines may end with a bare line feed, as those of `nuget` 2.8 do on other systems than Windows.
 */
export class FormParser {
  readonly #delimiter: Buffer;
  #state: 'between' | 'header' | 'file' | 'done' = 'between';
  /** What isn't understood yet. A form begins as if a line had ended. */
  #pending: Buffer = Buffer.from([LF]);
  #parts = 0;

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\n--${boundary}`, 'latin1');
  }

  /** Whether the file was there as a whole. */
  get isDone(): boolean {
    return this.#state === 'done';
  }

  /**
   * Takes the next bytes of the form, and gives those of the file among them.
   *
   * @throws HttpError 400 when it is no form, or has no file
   */
  *push(chunk: Buffer): Generator<Buffer> {
    if (this.#state === 'done') return;
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      if (this.#state === 'header') {
        if (!this.#readHeader()) return;
        continue;
      }
      const end = this.#nextDelimiter();
      const isInFile = this.#state === 'file';
      const content = this.#pending.subarray(0, isInFile ? end.contentBytes : 0);
      this.#pending = this.#pending.subarray(end.usedBytes);
      if (content.length > 0) yield content;
      if (end.kind === 'none') return;
      if (end.kind === 'text') continue;
      if (isInFile) {
        this.#state = 'done';
        this.#pending = NONE;
        return;
      }
      if (end.kind === 'last') throw new HttpError(400, 'the form has no file in it');
      this.#state = 'header';
    }
  }

  #nextDelimiter(): Delimiter {
    const pending = this.#pending;
    const at = pending.indexOf(this.#delimiter);
    if (at < 0) {
      // Its beginning may be there already, and the carriage return before it.
      const safe = Math.max(0, pending.length - this.#delimiter.length);
      return { kind: 'none', contentBytes: safe, usedBytes: safe };
    }
    const contentBytes = at > 0 && pending[at - 1] === CR ? at - 1 : at;
    const after = at + this.#delimiter.length;
    const next = pending[after];
    if (next === HYPHEN && pending[after + 1] === HYPHEN) return { kind: 'last', contentBytes, usedBytes: after + 2 };
    if (next === LF || next === CR || next === SPACE || next === TAB) {
      return { kind: 'part', contentBytes, usedBytes: after };
    }
    if (next === undefined || (next === HYPHEN && pending[after + 1] === undefined)) {
      return { kind: 'none', contentBytes, usedBytes: contentBytes };
    }
    return { kind: 'text', contentBytes: after, usedBytes: after };
  }

  /** Reads the header of a part up to the empty line after it; false when more of it is to come. */
  #readHeader(): boolean {
    const pending = this.#pending;
    const [long, short] = [pending.indexOf('\n\r\n'), pending.indexOf('\n\n')];
    const isLong = long >= 0 && (short < 0 || long < short);
    const end = isLong ? long : short;
    if (end > MAX_PART_HEADER || (end < 0 && pending.length > MAX_PART_HEADER)) {
      throw new HttpError(400, 'a part of the form has a header that is too long');
    }
    if (end < 0) return false;
    if (++this.#parts > MAX_PARTS) throw new HttpError(400, 'the form has too many parts');
    this.#state = isFile(pending.toString('latin1', 0, end)) ? 'file' : 'between';
    this.#pending = pending.subarray(end + (isLong ? 3 : 2));
    // The line feed of the empty line may begin the delimiter of a part without content.
    if (this.#state === 'between') this.#pending = Buffer.concat([Buffer.from([LF]), this.#pending]);
    return true;
  }
}

interface Delimiter {
  /** `text`: something that only begins like a delimiter. `none`: it may be still to come. */
  readonly kind: 'part' | 'last' | 'text' | 'none';
  /** How many of the bytes before it are content. */
  readonly contentBytes: number;
  readonly usedBytes: number;
}

/** Clients name the field `package`, or nothing in particular; what has a file's name or type is one, too. */
function isFile(header: string): boolean {
  return (
    /^content-disposition:.*;\s*(?:filename\*?=|name="?package"?\s*(?:;|$))/im.test(header) ||
    /^content-type:\s*application\/(?:octet-stream|zip|x-zip-compressed)/im.test(header)
  );
}
