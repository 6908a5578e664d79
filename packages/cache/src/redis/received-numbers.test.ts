import { describe, expect, it } from 'vitest';
import { ReceivedNumbers } from './received-numbers.js';

describe('received numbers', () => {
  it('begin with the first of each sender', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 7);
    numbers.received('b', 1);
    numbers.sent('c', 70);
    numbers.received('a', 8);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, false]);
  });

  it('may overtake each other for a while, and are lost when they are missing for a whole tick', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.received('a', 4);
    numbers.received('a', 2);
    expect(numbers.tick()).toBe(false);
    numbers.received('a', 3);
    expect(numbers.tick()).toBe(false);
    numbers.received('a', 6);
    expect([numbers.tick(), numbers.tick(), numbers.tick()]).toEqual([false, true, false]);
  });

  it('are missing when the sender says that it sent more', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.sent('a', 1);
    numbers.sent('a', 3);
    numbers.received('a', 2);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, true]);
  });

  it('are lost at once when very many are missing', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.received('a', 5_000_000);
    expect([numbers.tick(), numbers.tick()]).toEqual([true, false]);
  });

  it('are remembered for a thousand senders, those that were silent longest going first', () => {
    const numbers = new ReceivedNumbers();
    for (let i = 0; i < 1000; i++) numbers.received(`sender ${i}`, 1);
    numbers.received('sender 0', 2);
    numbers.received('new', 1);
    numbers.received('sender 1', 9);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, false]);
    numbers.received('sender 0', 9);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, true]);
  });
});
