import { describe, expect, it, vi } from 'vitest';
import type { InvalidationMessage } from './invalidation-bus.js';
import { LocalInvalidationBus } from './local-invalidation-bus.js';

const news: InvalidationMessage = { type: 'keys', keys: ['a'] };

describe('a bus within the process', () => {
  it('tells everyone but who published', () => {
    const bus = new LocalInvalidationBus();
    const [own, other, third] = [vi.fn(), vi.fn(), vi.fn()];
    for (const listener of [own, other, third]) bus.subscribe(listener);
    bus.publish(news, own);
    expect(own).not.toHaveBeenCalled();
    expect(other).toHaveBeenCalledExactlyOnceWith(news);
    expect(third).toHaveBeenCalledExactlyOnceWith(news);
  });

  it('tells the others even if one throws, at once or later', async () => {
    const bus = new LocalInvalidationBus();
    const [unhandled, other] = [vi.fn(), vi.fn()];
    process.once('unhandledRejection', unhandled);
    bus.subscribe(() => {
      throw new Error('broken');
    });
    bus.subscribe(async () => {
      throw new Error('broken later');
    });
    bus.subscribe(other);
    bus.publish(news);
    await new Promise(setImmediate);
    process.off('unhandledRejection', unhandled);
    expect(other).toHaveBeenCalledOnce();
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('tells nobody who has left, and is of no use when closed', () => {
    const bus = new LocalInvalidationBus();
    const [gone, stays] = [vi.fn(), vi.fn()];
    bus.subscribe(stays);
    bus.subscribe(gone)();
    bus.publish(news);
    bus.close();
    bus.close();
    expect(gone).not.toHaveBeenCalled();
    expect(stays).toHaveBeenCalledOnce();
    expect(() => bus.publish(news)).toThrow(/closed/);
    expect(() => bus.subscribe(gone)).toThrow(/closed/);
  });
});
