import { describe, expect, it } from 'vitest';
import { FreeSpace } from './free-space.js';

/** A file system with so much space, and a clock. */
function disk() {
  const state = { free: 100, now: 0, looks: 0, room: 0 };
  const space = new FreeSpace(
    async () => {
      state.looks++;
      return state.free;
    },
    () => state.now,
    async (bytes) => {
      state.free += Math.min(bytes, state.room);
    },
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
    expect(state.looks).toBe(3);
    state.free = 100;
    state.now = 999;
    expect(await space.admits(0, 10)).toBe(true);
    expect(state.looks).toBe(3);
    state.now = 1001;
    state.free = 9;
    expect(await space.admits(0, 10)).toBe(false);
  });

  it('is looked at again before anything is refused: what was promised may have come to nothing', async () => {
    const { state, space } = disk();
    expect(await space.admits(90, 10)).toBe(true);
    expect(await space.admits(90, 10)).toBe(true);
    expect(state.looks).toBe(2);
    expect(await space.leaves(90, 10)).toBe(true);
  });

  it('is made, where something can go, before anything is refused', async () => {
    const { state, space } = disk();
    state.room = 50;
    expect(await space.admits(140, 10)).toBe(true);
    state.free = 0;
    expect(await space.leaves(40, 10)).toBe(false);
    expect(await space.leaves(40, 10)).toBe(true);
  });

  it('is looked at when the clock was set back', async () => {
    const { state, space } = disk();
    await space.admits(1, 10);
    state.now = -5000;
    await space.admits(1, 10);
    expect(state.looks).toBe(2);
  });
});
