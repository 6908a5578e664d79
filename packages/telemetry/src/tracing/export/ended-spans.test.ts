import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { EndedSpans } from './ended-spans.js';

const spans = Array.from({ length: 150 }, (_, i) => ({ name: `span ${i}` }) as ReadableSpan);

let seen: ReadableSpan[];
let ended: EndedSpans;

beforeEach(() => {
  vi.useFakeTimers();
  seen = [];
  ended = new EndedSpans((span) => seen.push(span));
});
afterEach(() => {
  vi.useRealTimers();
});

it('are handed on together, a fifth of a second after the first', () => {
  ended.add(spans[0]!);
  vi.advanceTimersByTime(150);
  ended.add(spans[1]!);
  vi.advanceTimersByTime(49);
  expect(seen).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(seen).toEqual(spans.slice(0, 2));
  ended.add(spans[2]!);
  vi.advanceTimersByTime(200);
  expect(seen).toEqual(spans.slice(0, 3));
});

it('wait for no more than 63 others', () => {
  for (const span of spans) ended.add(span);
  expect(seen).toEqual(spans.slice(0, 128));
  vi.advanceTimersByTime(200);
  expect(seen).toEqual(spans);
});

it('are handed on at once when somebody asks, and once', () => {
  ended.flush();
  for (const span of spans.slice(0, 3)) ended.add(span);
  ended.flush();
  expect(seen).toEqual(spans.slice(0, 3));
  vi.advanceTimersByTime(1000);
  expect(seen).toHaveLength(3);
  expect(vi.getTimerCount()).toBe(0);
});

it('keep no process alive that has nothing else to do', () => {
  vi.useRealTimers();
  const waiting = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
  const before = waiting();
  ended.add(spans[0]!);
  expect(waiting()).toBe(before);
  ended.flush();
});
