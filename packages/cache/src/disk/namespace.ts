/**
 * What a layer does with its folder. Its classes name types of LMDB's binding, which TypeScript refuses to read for a
 * program of ES modules; so they stay out of what the layer declares.
 */
export interface Namespace {
  readonly entries: NamespaceEntries;
  readonly writes: NamespaceWrites;
  /** The layer is closed. */
  release(): Promise<void> | void;
}

export interface Totals {
  /** What the entries count towards the bound. */
  readonly bytes: number;
  readonly entries: number;
}

/** `NamespaceDatabase`, which says what these do. */
export interface NamespaceEntries {
  totals(): Totals;
  frame(key: string): Buffer | undefined;
  put(key: string, frame: Buffer, goneAt: number, now: number): void;
  remove(key: string, now: number): boolean;
  touch(keys: Iterable<string>): void;
  trim(now: number): void;
  clear(): void;
  next(): number;
  removeSome(prefix: string, before: number, after: Buffer | undefined): Buffer | undefined;
}

/** `WriteQueue`, which says what these do. */
export interface NamespaceWrites {
  add<T>(what: string, run: () => T, bytes?: number, signal?: AbortSignal): Promise<T>;
  hurry(): void;
}
