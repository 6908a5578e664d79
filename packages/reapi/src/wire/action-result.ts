import type { Digest, DigestFunction } from '@granary/blobs';
import { DigestArena, DigestSpan } from './digest-fields.js';
import { WireReader } from './wire-reader.js';

const OUTPUT_FILES = 0x12;
const OUTPUT_DIRECTORIES = 0x1a;
const STDOUT_DIGEST = 0x32;
const STDERR_DIGEST = 0x42;

const FILE_DIGEST = 0x12;
const TREE_DIGEST = 0x1a;
const ROOT_DIRECTORY_DIGEST = 0x2a;

/** What an action's result names in the content store. */
export interface ActionResultContents {
  readonly files: readonly Digest[];
  readonly directories: readonly OutputDirectoryDigests[];
  readonly stdout: Digest | undefined;
  readonly stderr: Digest | undefined;
}

interface OutputDirectoryDigests {
  /** Of an encoded `Tree`. */
  readonly tree: Digest | undefined;
  /** Of an encoded `Directory`: the root of the tree. */
  readonly rootDirectory: Digest | undefined;
}

/**
 * The digests in an encoded `ActionResult` (benchmark `GetActionResult`, 20 outputs). An output file must have one,
 * an output directory at least one.
 *
 * @throws WireFormatError, InvalidDigestError
 */
export function scanActionResult(bytes: Buffer, fn: DigestFunction): ActionResultContents {
  const reader = new WireReader(bytes);
  const arena = new DigestArena(fn, bytes);
  const span = new DigestSpan();
  const stdout = new DigestSpan();
  const stderr = new DigestSpan();
  const files: Digest[] = [];
  const directories: OutputDirectoryDigests[] = [];
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === OUTPUT_FILES) files.push(arena.digest(readOutputFile(reader, span.clear())));
    else if (tag === OUTPUT_DIRECTORIES) directories.push(readOutputDirectory(reader, arena));
    else if (tag === STDOUT_DIGEST) stdout.read(reader);
    else if (tag === STDERR_DIGEST) stderr.read(reader);
    else reader.skip(tag);
  }
  return { files, directories, stdout: digestIfAny(arena, stdout), stderr: digestIfAny(arena, stderr) };
}

function readOutputFile(reader: WireReader, span: DigestSpan): DigestSpan {
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === FILE_DIGEST) span.read(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return span;
}

function readOutputDirectory(reader: WireReader, arena: DigestArena): OutputDirectoryDigests {
  const tree = new DigestSpan();
  const root = new DigestSpan();
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === TREE_DIGEST) tree.read(reader);
    else if (tag === ROOT_DIRECTORY_DIGEST) root.read(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  const rootDirectory = digestIfAny(arena, root);
  return { tree: rootDirectory ? digestIfAny(arena, tree) : arena.digest(tree), rootDirectory };
}

/** The tags of all fields that an `ActionResult` has, by API 2.11. */
const TAGS: ReadonlySet<number> = new Set([
  OUTPUT_FILES,
  OUTPUT_DIRECTORIES,
  0x20,
  0x2a,
  STDOUT_DIGEST,
  0x3a,
  STDERR_DIGEST,
  0x4a,
  0x52,
  0x5a,
  0x62,
]);

/**
 * Whether bytes may be the beginning of an encoded `ActionResult`: as far as they go, they are its fields. Nearly nothing
 * else passes; ccache's files, archives, compressed data and text fail with their first byte.
 */
export function mayBeginActionResult(start: Buffer): boolean {
  const reader = new WireReader(start);
  while (reader.pos < reader.end) {
    if (!TAGS.has(start[reader.pos] as number)) return false;
    try {
      reader.skip(reader.tag());
    } catch {
      // This field goes on in the part that is missing.
      return true;
    }
  }
  return true;
}

/** An empty message stands for no digest: clients in Go write one where they have none. */
function digestIfAny(arena: DigestArena, span: DigestSpan): Digest | undefined {
  return span.isEmpty ? undefined : arena.digest(span);
}
