import { Channel, type ChannelCredentials, type ChannelOptions, connectivityState } from '@grpc/grpc-js';

/** A call's place on a connection. */
export interface Seat {
  readonly channel: Channel;
  calls: number;
  /** Whether the last call on it ended in silence: a connection may be gone without anybody being told. */
  doubted: boolean;
}

/** Calls that another connection may have more, and is still preferred to one that is doubted. */
const DOUBT = 16;
/** More than a connection ever has: calls on one that waits before it connects again fail at once, so it has none. */
const LOST = 1 << 20;

/**
 * Several connections to one peer, because all streams of one share its socket and its flow control. A call goes to the
 * one with the fewest, so that a quiet client opens only the first; but not to one that is lost or has fallen silent,
 * while there is another.
 */
export class Channels {
  readonly #seats: Seat[];

  constructor(address: string, credentials: ChannelCredentials, options: ChannelOptions, count: number) {
    // Channels share their connections unless each has a pool of its own.
    const own = { ...options, 'grpc.use_local_subchannel_pool': 1 };
    this.#seats = Array.from({ length: count }, () => ({
      channel: new Channel(address, credentials, own),
      calls: 0,
      doubted: false,
    }));
  }

  /** Give it back with {@link leave}. */
  take(): Seat {
    const least = this.#seats.reduce((best, seat) => (weightOf(seat) < weightOf(best) ? seat : best));
    least.calls++;
    return least;
  }

  /** @param inSilence whether the call was given up while the peer was waited for */
  leave(seat: Seat, inSilence: boolean): void {
    seat.calls--;
    seat.doubted = inSilence;
  }

  close(): void {
    for (const { channel } of this.#seats) channel.close();
  }
}

function weightOf({ channel, calls, doubted }: Seat): number {
  const weight = doubted ? calls + DOUBT : calls;
  return channel.getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE ? weight + LOST : weight;
}
