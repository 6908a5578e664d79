import { describe, expect, it } from 'vitest';
import { TagDeletions } from './tag-deletions.js';

describe('tag deletions', () => {
  it('tell whether a tag was deleted after a mark', () => {
    const deletions = new TagDeletions();
    deletions.record('a');
    const mark = deletions.mark();
    expect(deletions.since(mark, ['a', 'b'])).toBe(false);
    deletions.record('b');
    expect(deletions.since(mark, ['a'])).toBe(false);
    expect(deletions.since(mark, ['a', 'b'])).toBe(true);
    expect(deletions.since(deletions.mark(), ['a', 'b'])).toBe(false);
  });

  it('count every tag as deleted when any may have been, except for what has none', () => {
    const deletions = new TagDeletions();
    const mark = deletions.mark();
    deletions.recordAll();
    expect(deletions.since(mark, ['a'])).toBe(true);
    expect(deletions.since(mark, [])).toBe(false);
    expect(deletions.since(deletions.mark(), ['a'])).toBe(false);
  });

  it('take a tag for deleted that they had to forget, and keep the latest', () => {
    const deletions = new TagDeletions({ maxTags: 2 });
    const mark = deletions.mark();
    deletions.record('a');
    const later = deletions.mark();
    deletions.record('b');
    deletions.record('c');
    expect(deletions.since(mark, ['never deleted'])).toBe(true);
    expect(deletions.since(later, ['never deleted'])).toBe(false);
    expect(deletions.since(later, ['c'])).toBe(true);
    expect(() => new TagDeletions({ maxTags: 0 })).toThrow(/maxTags/);
  });
});
