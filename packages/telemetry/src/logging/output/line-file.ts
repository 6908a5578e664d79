import { close, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

/** Lines that wait for a slow disk or a full pipe, at most; more are dropped and counted. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const WRITE_AT_BYTES = 4096;
const WRITE_AFTER_MS = 250;
const RETRY_AFTER_MS = 20;
/** How long a write that must not wait for the event loop waits for a reader that doesn't read. */
const GIVE_UP_AFTER_MS = 1000;

const writeLater = promisify(write);
const closeLater = promisify(close);
const NOTHING = Buffer.alloc(0);
const sleeping = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes lines to a file descriptor, at once or collected in the background. A line that can't be written is dropped
 * and counted: neither a full disk nor a reader that stopped reading may stop the program, or keep it from ending.
 */
export class LineFile {
  readonly #fd: number;
  readonly #buffered: boolean;
  readonly #owned: boolean;
  #pending: string[] = [];
  #pendingBytes = 0;
  /** What was begun to be written and waits for a reader to catch up; the operating system hasn't got it. */
  #left: Buffer = NOTHING;
  /** Whether the descriptor has answered that its reader has to catch up, so that no write to it ever waits. */
  #answersAtOnce = false;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #dropped = 0;

  /** @param owned whether the descriptor is closed with this file */
  constructor(fd: number, buffered: boolean, owned: boolean) {
    this.#fd = fd;
    this.#buffered = buffered;
    this.#owned = owned;
    if (buffered) process.on('exit', this.flush);
  }

  /** Lines that could not be written. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#closing !== undefined || this.#pendingBytes + bytes > MAX_BUFFERED_BYTES) {
      this.#dropped++;
      return;
    }
    this.#pending.push(line);
    this.#pendingBytes += bytes;
    if (!this.#buffered) this.flush();
    else if (this.#pendingBytes >= WRITE_AT_BYTES) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), WRITE_AFTER_MS).unref();
  }

  /** Writes what is buffered before it returns; a write that the operating system has already is not waited for. */
  readonly flush = (): void => {
    // What is left may begin within a line.
    const bytes = Buffer.concat([this.#left, this.#take()]);
    this.#left = NOTHING;
    const deadline = Date.now() + GIVE_UP_AFTER_MS;
    for (let offset = 0; offset < bytes.length; ) {
      try {
        offset += writeSync(this.#fd, bytes, offset);
      } catch (error) {
        if (!isBusy(error) || Date.now() > deadline) {
          this.#dropped += linesFrom(bytes, offset);
          return;
        }
        Atomics.wait(sleeping, 0, 0, RETRY_AFTER_MS);
      }
    }
  };

  /** Writes what is buffered, then closes the descriptor if it is this file's own. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    process.off('exit', this.flush);
    await this.#writing;
    this.flush();
    if (this.#owned) await closeLater(this.#fd).catch(() => {});
  }

  #take(): Buffer {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    return lines.length === 0 ? NOTHING : Buffer.from(lines.join(''));
  }

  #start(): void {
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
      if (this.#pending.length > 0) this.#start();
    });
  }

  async #drain(): Promise<void> {
    while (this.#left.length > 0 || this.#pending.length > 0) {
      const bytes = this.#left.length > 0 ? this.#left : this.#take();
      this.#left = NOTHING;
      try {
        // Nothing can get between the parts of a line here, as what is flushed can while another thread writes.
        const bytesWritten = this.#answersAtOnce
          ? writeSync(this.#fd, bytes)
          : (await writeLater(this.#fd, bytes)).bytesWritten;
        this.#left = bytes.subarray(bytesWritten);
      } catch (error) {
        if (!isBusy(error) || this.#closing !== undefined) {
          this.#dropped += linesFrom(bytes, 0);
          continue;
        }
        this.#left = bytes;
        this.#answersAtOnce = true;
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS).unref());
      }
    }
  }
}

/** Whether a reader of a pipe or terminal has to catch up first. */
function isBusy(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EAGAIN' || code === 'EBUSY';
}

function linesFrom(bytes: Buffer, offset: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(10, offset); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return lines;
}
