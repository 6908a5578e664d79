import type { Digest, DigestFunction } from '@granary/blobs';
import { DigestArena, DigestSpan } from './digest-fields.js';
import { WireReader } from './wire-reader.js';
import { delimitedSize, optionalSize, WireWriter } from './wire-writer.js';

const FILES = 0x0a;
const DIRECTORIES = 0x12;
const NODE_DIGEST = 0x12;

const ROOT = 0x0a;
const CHILDREN = 0x12;

const RESPONSE_DIRECTORIES = 0x0a;
const NEXT_PAGE_TOKEN = 0x12;

/** What a directory, or a whole tree of them, names. */
export interface DirectoryContents {
  readonly files: readonly Digest[];
  /** Digests of `Directory` messages. */
  readonly directories: readonly Digest[];
}

/**
 * The digests in an encoded `Directory`, without its names and properties.
 *
 * @throws WireFormatError, InvalidDigestError
 */
export function scanDirectory(bytes: Buffer, fn: DigestFunction): DirectoryContents {
  const scanner = new DirectoryScanner(new WireReader(bytes), fn);
  scanner.directory();
  return scanner;
}

/**
 * The digests in an encoded `Tree`: those of all files in the root and its children, and of all directories that
 * these name.
 *
 * @throws WireFormatError, InvalidDigestError
 */
export function scanTree(bytes: Buffer, fn: DigestFunction): DirectoryContents {
  const reader = new WireReader(bytes);
  const scanner = new DirectoryScanner(reader, fn);
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag !== ROOT && tag !== CHILDREN) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    scanner.directory();
    reader.leave(outer);
  }
  return scanner;
}

class DirectoryScanner implements DirectoryContents {
  readonly files: Digest[] = [];
  readonly directories: Digest[] = [];
  private readonly reader: WireReader;
  private readonly arena: DigestArena;
  private readonly span = new DigestSpan();

  constructor(reader: WireReader, fn: DigestFunction) {
    this.reader = reader;
    this.arena = new DigestArena(fn, reader.bytes);
  }

  /** Reads one `Directory` up to the reader's end. */
  directory(): void {
    const { reader } = this;
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag === FILES) this.files.push(this.nodeDigest());
      else if (tag === DIRECTORIES) this.directories.push(this.nodeDigest());
      else reader.skip(tag);
    }
  }

  /** The digest of a `FileNode` or a `DirectoryNode`, which have it in the same field. */
  private nodeDigest(): Digest {
    const { reader, span } = this;
    span.clear();
    const outer = reader.enter();
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag === NODE_DIGEST) span.read(reader);
      else reader.skip(tag);
    }
    reader.leave(outer);
    return this.arena.digest(span);
  }
}

/** A GetTreeResponse around directories as they lie in the store. */
export function encodeGetTreeResponse(directories: readonly Uint8Array[], nextPageToken: string): Buffer {
  const tokenLength = Buffer.byteLength(nextPageToken);
  let size = optionalSize(tokenLength);
  for (const directory of directories) size += delimitedSize(directory.length);

  const writer = new WireWriter(size);
  for (const directory of directories) writer.message(RESPONSE_DIRECTORIES, directory);
  writer.text(NEXT_PAGE_TOKEN, nextPageToken, tokenLength);
  return writer.finish();
}
