import { describe, expect, it } from 'vitest';
import { FreeSpace } from './free-space.js';

/** A file system with so much space, and a clock. */
function disk() {
  const state = { free: 100, now: 0, looks: 0 };
  const space = new FreeSpace(
    async () => {
      state.looks++;
      return state.free;
    },
    () => state.now,
  );
  return { state, space };
}

describe('free space', () => {
  it('is looked at once a second, and counts what was promised meanwhile', async () => {
    const { state, space } = disk();
    for (let i = 0; i < 9; i++) expect(await space.admits(10, 10)).toBe(true);
    expect(state.looks).toBe(1);
    // The tenth leaves too little, if the others have been written.
    state.free = 10;
    expect(await space.admits(10, 10)).toBe(false);
    expect(state.looks).toBe(2);
    state.free = 100;
    state.now = 999;
    expect(await space.admits(0, 10)).toBe(true);
    expect(state.looks).toBe(2);
    state.now = 1001;
    state.free = 9;
    expect(await space.admits(0, 10)).toBe(false);
  });

  it('is looked at again before anything is refused: what was promised may have come to nothing', async () => {
    const { state, space } = disk();
    expect(await space.admits(90, 10)).toBe(true);
    expect(await space.admits(90, 10)).toBe(true);
    expect(state.looks).toBe(2);
    expect(await space.now()).toBe(100);
  });

  it('is looked at when the clock was set back', async () => {
    const { state, space } = disk();
    await space.admits(1, 10);
    state.now = -5000;
    await space.admits(1, 10);
    expect(state.looks).toBe(2);
  });
});
