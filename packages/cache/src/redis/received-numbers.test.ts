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

  it('begin with what a sender says that it sent before anything of it came', () => {
    const numbers = new ReceivedNumbers();
    numbers.sent('a', 5);
    numbers.received('a', 7);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, true]);
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

  it('are lost once, however often the sender says that it sent them', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.sent('a', 2);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, true]);
    numbers.sent('a', 2);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, false]);
  });

  it('are not missing when they come after the sender said so, or are overtaken by what it says', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.sent('a', 2);
    numbers.received('a', 2);
    numbers.received('a', 3);
    numbers.sent('a', 2);
    numbers.received('a', 4);
    expect([numbers.tick(), numbers.tick()]).toEqual([false, false]);
  });

  it('are lost at once when very many are missing', () => {
    const numbers = new ReceivedNumbers();
    numbers.received('a', 1);
    numbers.received('a', 3);
    numbers.received('a', 5_000_000);
    expect([numbers.tick(), numbers.tick()]).toEqual([true, false]);
  });

  it('may still come when a thousand are missing, and no more than that', () => {
    for (const [last, lost] of [
      [1002, false],
      [1003, true],
    ] as const) {
      const numbers = new ReceivedNumbers();
      numbers.received('a', 1);
      numbers.received('a', last);
      expect(numbers.tick()).toBe(lost);
    }
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
