import { Channel, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';

/** A call's place on a connection. */
export interface Seat {
  readonly channel: Channel;
  calls: number;
}

/**
 * Several connections to one peer, because all streams of one share its socket and its flow control. A call goes to the
 * one with the fewest, so that a quiet client opens only the first.
 */
export class Channels {
  readonly #seats: Seat[];

  constructor(address: string, credentials: ChannelCredentials, options: ChannelOptions, count: number) {
    // Channels share their connections unless each has a pool of its own.
    const own = { ...options, 'grpc.use_local_subchannel_pool': 1 };
    this.#seats = Array.from({ length: count }, () => ({ channel: new Channel(address, credentials, own), calls: 0 }));
  }

  /** Give it back with {@link leave}. */
  take(): Seat {
    const least = this.#seats.reduce((best, seat) => (seat.calls < best.calls ? seat : best));
    least.calls++;
    return least;
  }

  leave(seat: Seat): void {
    seat.calls--;
  }

  close(): void {
    for (const { channel } of this.#seats) channel.close();
  }
}
