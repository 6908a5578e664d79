import { fstatSync, readSync } from 'node:fs';

// Places in LMDB's file, of the second version of its format: two pages with a state of the database each, and trees of
// pages below each of them, one of which names the others. Source: `mdb.c` of lmdb 3, "struct MDB_meta" and following.
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const PAGE_HEADER_BYTES = 24;
const PAGE_FLAGS_AT = 18;
/** Bytes of the list of a page's nodes. */
const NODES_BYTES_AT = 20;
const BRANCH = 1;
const LEAF = 2;
const NODE_HEADER_BYTES = 8;
/** Of a node in a leaf: its value lies in pages of its own; is another tree. */
const HAS_OWN_PAGES = 1;
const NAMES_A_TREE = 2;
const TREE_BYTES = 48;
const TREE_DEPTH_AT = 6;
const TREE_ROOT_AT = 40;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const PAGE_BYTES_AT = 24;
const LEAST_PAGE_BYTES = 256;
const MOST_PAGE_BYTES = 65_536;
/** Of the free pages, and of all else. */
const TREES_AT = [24, 72] as const;
const TRANSACTION_AT = 128;
const STATE_BYTES = 136;

/** Pages that are read at most, of a tree above its leaves: those of a terabyte. */
const MOST_BRANCHES = 20_000;
/** Leaves that are read at most: 8 MiB of them. All those of a small database, and of a large one a sample. */
const MOST_LEAVES = 2000;
/** How often it is looked again where another process has written meanwhile. */
const MOST_LOOKS = 5;

interface Tree {
  readonly root: bigint;
  /** How many pages there are from the root to a leaf. */
  readonly depth: number;
}

/**
 * Whether LMDB's file lacks pages that its trees lead to, by both of the states that it begins with: which of them LMDB
 * goes by depends on how the last process ended. That a file is shorter than LMDB's own count of its pages says nothing:
 * pages at the end that a transaction had no use for after all are never written.
 */
export function isCutOff(file: number): boolean {
  for (let look = 0; look < MOST_LOOKS; look++) {
    const states = readStates(file);
    // Of another format nothing is known.
    if (states === 'unknown') return false;
    if (states === undefined) return true;
    if (!states.every((state) => new PageTrees(file, states).lackPages(state))) return false;
    // Pages of these two states are written over only when there is a third.
    const now = readStates(file);
    if (Array.isArray(now) && now.every((state, i) => transactionOf(state) === transactionOf(states[i] as Buffer)))
      return true;
  }
  return false;
}

/** Undefined where not even they are all there, or don't agree on how large a page is: LMDB divides by that. */
function readStates(file: number): readonly Buffer[] | 'unknown' | undefined {
  const first = read(file, PAGE_HEADER_BYTES, STATE_BYTES);
  if (first === undefined) return undefined;
  if (!isState(first)) return 'unknown';
  const pageBytes = first.readUInt32LE(PAGE_BYTES_AT);
  if (pageBytes < LEAST_PAGE_BYTES || pageBytes > MOST_PAGE_BYTES) return undefined;
  const second = read(file, pageBytes + PAGE_HEADER_BYTES, STATE_BYTES);
  if (second === undefined || !isState(second)) return undefined;
  return second.readUInt32LE(PAGE_BYTES_AT) === pageBytes ? [first, second] : undefined;
}

function isState(bytes: Buffer): boolean {
  return bytes.readUInt32LE(0) === MAGIC && bytes.readUInt32LE(4) === VERSION;
}

function transactionOf(state: Buffer): bigint {
  return state.readBigUInt64LE(TRANSACTION_AT);
}

/** Follows the trees of a state to their leaves, and through the first of those to values with pages of their own. */
class PageTrees {
  readonly #file: number;
  readonly #pageBytes: number;
  readonly #pages: bigint;
  #branchesLeft = MOST_BRANCHES;
  #leavesLeft = MOST_LEAVES;

  constructor(file: number, [first]: readonly Buffer[]) {
    this.#file = file;
    this.#pageBytes = (first as Buffer).readUInt32LE(PAGE_BYTES_AT);
    this.#pages = BigInt(Math.floor(fstatSync(file).size / this.#pageBytes));
  }

  lackPages(state: Buffer): boolean {
    return TREES_AT.some((at) => this.#lacks(treeAt(state, at)));
  }

  #lacks({ root, depth }: Tree): boolean {
    if (root === NO_PAGE) return false;
    if (root >= this.#pages) return true;
    if (depth > 1 ? this.#branchesLeft-- <= 0 : this.#leavesLeft-- <= 0) return false;
    const page = Buffer.alloc(this.#pageBytes);
    readSync(this.#file, page, 0, page.length, Number(root) * this.#pageBytes);
    const isOne = page.readUInt16LE(PAGE_FLAGS_AT) & (depth > 1 ? BRANCH : LEAF);
    if (!isOne) return false;
    for (const node of nodesOf(page)) {
      if (depth > 1 ? this.#lacks({ root: childOf(page, node), depth: depth - 1 }) : this.#valueLacks(page, node))
        return true;
    }
    return false;
  }

  #valueLacks(page: Buffer, node: number): boolean {
    const flags = page.readUInt16LE(node + 4);
    const at = node + NODE_HEADER_BYTES + page.readUInt16LE(node + 6);
    if (flags === NAMES_A_TREE && at + TREE_BYTES <= page.length) return this.#lacks(treeAt(page, at));
    if (flags !== HAS_OWN_PAGES || at + 8 > page.length) return false;
    const bytes = PAGE_HEADER_BYTES + page.readUInt32LE(node);
    return page.readBigUInt64LE(at) + BigInt(Math.ceil(bytes / this.#pageBytes)) > this.#pages;
  }
}

/** Where the nodes of a page begin, without those that can't be any. */
function* nodesOf(page: Buffer): Generator<number> {
  const end = Math.min(PAGE_HEADER_BYTES + page.readUInt16LE(NODES_BYTES_AT), page.length - 1);
  for (let at = PAGE_HEADER_BYTES; at < end; at += 2) {
    const node = PAGE_HEADER_BYTES + page.readUInt16LE(at);
    if (node + NODE_HEADER_BYTES <= page.length) yield node;
  }
}

/** The page that a node of a branch leads to. */
function childOf(page: Buffer, node: number): bigint {
  return BigInt(page.readUIntLE(node, 6));
}

function treeAt(bytes: Buffer, at: number): Tree {
  return { root: bytes.readBigUInt64LE(at + TREE_ROOT_AT), depth: bytes.readUInt16LE(at + TREE_DEPTH_AT) };
}

/** Undefined where the file ends before. */
function read(file: number, at: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, at) === length ? bytes : undefined;
}
