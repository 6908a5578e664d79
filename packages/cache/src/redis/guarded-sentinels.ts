import { SentinelConnector } from 'ioredis';
import { guardConnections } from './guarded-connections.js';

/** How ioredis asks a Sentinel. */
interface Asking {
  connectToSentinel(...args: readonly unknown[]): unknown;
}

/**
 * Finds the server of a group that Sentinel watches over, as ioredis does, with what may be answered there and can't be
 * read: by a Sentinel, whose connections ioredis doesn't show, or by the server, which is asked what it is, where that is
 * looked at outside of any promise. Either would end the process.
 */
export class GuardedSentinels extends SentinelConnector {
  constructor(options: unknown) {
    super(options as ConstructorParameters<typeof SentinelConnector>[0]);
    const asking = this as unknown as Asking;
    const { connectToSentinel } = asking;
    if (typeof connectToSentinel !== 'function') return;
    asking.connectToSentinel = (...args) => {
      const sentinel = Reflect.apply(connectToSentinel, this, args);
      guardConnections(sentinel);
      return sentinel;
    };
  }

  override check(info: { readonly role?: string } | null): boolean {
    return info !== null && super.check(info);
  }
}
