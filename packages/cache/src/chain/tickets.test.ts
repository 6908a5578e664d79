import { describe, expect, it } from 'vitest';
import { Tickets } from './tickets.js';

describe('tickets', () => {
  it('are shared by all work on a key, and live only as long as it', () => {
    const tickets = new Tickets();
    const first = tickets.take('key');
    expect(tickets.take('key')).toBe(first);
    tickets.giveBack('key', first);
    expect(tickets.size).toBe(1);
    tickets.giveBack('key', first);
    expect(tickets.size).toBe(0);
  });

  it('are worth nothing after a write, unlike those of later work', () => {
    const tickets = new Tickets();
    const old = tickets.take('key');
    const other = tickets.take('other');
    tickets.supersede('key');
    const young = tickets.take('key');
    tickets.giveBack('key', old);
    expect([old.current, young.current, other.current, tickets.size]).toEqual([false, true, true, 2]);
    tickets.supersedeAll();
    expect([young.current, other.current, tickets.size]).toEqual([false, false, 0]);
  });

  it('of a batch know what changed, and beyond 10,000 keys count everything as changed', () => {
    const tickets = new Tickets();
    const batch = tickets.takeBatch();
    tickets.supersede('a');
    expect([batch.isCurrent('a'), batch.isCurrent('b')]).toEqual([false, true]);
    for (let i = 0; i < 10_000; i++) tickets.supersede(`key${i}`);
    expect(batch.isCurrent('b')).toBe(false);
    tickets.giveBackBatch(batch);
    const next = tickets.takeBatch();
    tickets.supersedeAll();
    expect(next.isCurrent('b')).toBe(false);
  });
});
