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

  it('tells the others even if one throws', () => {
    const bus = new LocalInvalidationBus();
    const other = vi.fn();
    bus.subscribe(() => {
      throw new Error('broken');
    });
    bus.subscribe(other);
    bus.publish(news);
    expect(other).toHaveBeenCalledOnce();
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
