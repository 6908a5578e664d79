import { openSync } from 'node:fs';
import { ignoreLater } from '../../ignore-later.js';
import { LineFile } from './line-file.js';

/** Anything that takes whole lines, each with its line break. */
export interface LineWriter {
  write(line: string): unknown;
}

/** Where lines go: a standard stream of the process, a file that is appended to, or a writer of the caller's. */
export type LogDestination = 'stdout' | 'stderr' | { readonly file: string } | LineWriter;

/** An opened {@link LogDestination}. */
export interface LogOutput extends LineWriter {
  /** Lines that could not be written. */
  readonly dropped: number;
  /** Writes what is buffered before it returns. */
  flush(): void;
  close(): Promise<void>;
}

/**
 * @param buffered collect lines and write them in the background; what is left is written when the process exits
 * @throws when the file can't be opened, and TypeError for what is no destination
 */
export function openDestination(destination: LogDestination, buffered: boolean): LogOutput {
  if (destination === 'stdout') return new LineFile(1, buffered, false);
  if (destination === 'stderr') return new LineFile(2, buffered, false);
  if (typeof destination !== 'object' || destination === null || !('file' in destination || 'write' in destination)) {
    throw new TypeError(`a logger writes to stdout, stderr, a file or a writer, not to ${String(destination)}`);
  }
  if ('file' in destination) return new LineFile(openSync(destination.file, 'a'), buffered, true);
  return {
    dropped: 0,
    write: (line) => ignoreLater(destination.write(line)),
    flush: () => {},
    close: async () => {},
  };
}
