import { openSync } from 'node:fs';
import { destination as pinoDestination } from 'pino';

/** Anything that takes whole lines, each with its line break. */
export interface LineWriter {
  write(line: string): unknown;
}

/** Where lines go: a standard stream of the process, a file that is appended to, or a writer of the caller's. */
export type LogDestination = 'stdout' | 'stderr' | { readonly file: string } | LineWriter;

/** Lines that wait for a slow disk or a full pipe, at most; more are dropped and counted. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const WRITE_AT_BYTES = 4096;
const WRITE_AFTER_MS = 250;

/** An opened {@link LogDestination}. */
export interface LogOutput extends LineWriter {
  /** Lines that were dropped because the destination was too slow. */
  readonly dropped: number;
  /** Writes what is buffered before it returns. */
  flush(): void;
  close(): Promise<void>;
}

/**
 * @param buffered collect lines and write them in the background; what is left is written when the process exits
 * @throws when the file can't be opened
 */
export function openDestination(destination: LogDestination, buffered: boolean): LogOutput {
  if (typeof destination === 'object' && 'write' in destination) {
    return { dropped: 0, write: (line) => destination.write(line), flush: () => {}, close: async () => {} };
  }
  return typeof destination === 'object'
    ? openDescriptor(openSync(destination.file, 'a'), buffered, true)
    : openDescriptor(destination === 'stdout' ? 1 : 2, buffered, false);
}

function openDescriptor(fd: number, buffered: boolean, closes: boolean): LogOutput {
  const stream = pinoDestination(
    buffered
      ? { fd, sync: false, minLength: WRITE_AT_BYTES, maxLength: MAX_BUFFERED_BYTES, periodicFlush: WRITE_AFTER_MS }
      : { fd, sync: true },
  );
  let dropped = 0;
  let failed = false;
  let closing: Promise<void> | undefined;
  stream.on('drop', () => dropped++);
  // A log that can't be written must not end the server.
  stream.on('error', () => {
    failed = true;
  });
  const flush = () => {
    try {
      if (closing === undefined) stream.flushSync();
    } catch {
      failed = true;
    }
  };
  const close = async () => {
    flush();
    if (!closes || failed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve).once('error', () => resolve());
      stream.end();
    });
  };
  return {
    get dropped() {
      return dropped;
    },
    write: (line) => stream.write(line),
    flush,
    close: () => {
      // Not `??=` on the call: flush must still see that nobody has closed yet.
      if (closing === undefined) {
        const done = close();
        closing = done;
      }
      return closing;
    },
  };
}
