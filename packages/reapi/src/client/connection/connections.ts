import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import { Channels } from './channels.js';

/** What a call does; downloads are what receives much. */
export type CallKind = 'call' | 'upload' | 'download';

/** Downloads that may be ahead of their consumers by the whole window. */
const WIDE_DOWNLOADS = 4;

/** What each of the others may: hundreds at once have tens of megabytes in memory, and not hundreds. */
const NARROW_BYTES = 128 * 1024;

/**
 * The connections to one peer. A stream has the window of its connection, so the downloads beyond the first few, which
 * share what they may have in memory, have connections of their own.
 */
export class Connections {
  readonly #wide: Channels;
  readonly #narrow: Channels;
  #wideDownloads = 0;

  /** @param windowBytes how far a stream may be ahead of its consumer, where it is one of few */
  constructor(
    address: string,
    credentials: ChannelCredentials,
    options: ChannelOptions,
    count: number,
    windowBytes: number,
  ) {
    const withWindow = (bytes: number) =>
      new Channels(address, credentials, { ...options, 'grpc-node.flow_control_window': bytes }, count);
    this.#wide = withWindow(windowBytes);
    this.#narrow = withWindow(Math.min(windowBytes, NARROW_BYTES));
  }

  /** Those for a call that begins now; tell {@link release} of its end. */
  choose(kind: CallKind): Channels {
    if (kind !== 'download') return this.#wide;
    if (this.#wideDownloads === WIDE_DOWNLOADS) return this.#narrow;
    this.#wideDownloads++;
    return this.#wide;
  }

  release(kind: CallKind, chosen: Channels): void {
    if (kind === 'download' && chosen === this.#wide) this.#wideDownloads--;
  }

  /** Whether the streams on it have small windows, so that the connection needs a larger one than they. */
  isNarrow(chosen: Channels): boolean {
    return chosen === this.#narrow;
  }

  close(): void {
    this.#wide.close();
    this.#narrow.close();
  }
}
