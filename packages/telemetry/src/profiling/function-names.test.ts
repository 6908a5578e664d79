import { describe, expect, it } from 'vitest';
import { type NamedFunctions, nameFunctionsByPlace } from './function-names.js';

/** A profile of functions, each with its name, file and first line. */
function profileOf(...functions: readonly (readonly [name: string, file: string, line: number])[]) {
  const strings: string[] = [''];
  const dedup = (text: string) => {
    const found = strings.indexOf(text);
    return found >= 0 ? found : strings.push(text) - 1;
  };
  const profile: NamedFunctions = {
    function: functions.map(([name, file], index) => ({ id: index + 1, name: dedup(name), filename: dedup(file) })),
    location: functions.map(([, , line], index) => ({ line: [{ functionId: index + 1, line }] })),
    stringTable: { strings, dedup },
  };
  return { profile, names: () => profile.function.map(({ name }) => strings[Number(name)]) };
}

describe('the names of functions', () => {
  it('say where they begin, so that two of one name are two', () => {
    const { profile, names } = profileOf(
      ['get', '/srv/granary/packages/blobs/dist/disk/store.js', 12],
      ['get', '/srv/granary/packages/cache/dist/layers/memory.js', 40],
      ['(anonymous:L#7:C#3)', '/srv/granary/packages/cache/dist/chain/chain.js', 7],
      ['(anonymous)', 'C:\\granary\\dist\\main.js', 0],
      ['onread', 'node:internal/stream_base_commons', 166],
      ['writeOrBuffer', 'node:internal/streams/writable', 560],
      ['(idle)', '', 0],
      ['Garbage Collection', '', 0],
    );
    nameFunctionsByPlace(profile);
    expect(names()).toEqual([
      'get disk/store.js:12',
      'get layers/memory.js:40',
      '(anonymous) chain/chain.js:7',
      '(anonymous) dist/main.js',
      'onread node:internal/stream_base_commons:166',
      'writeOrBuffer node:internal/streams/writable:560',
      '(idle)',
      'Garbage Collection',
    ]);
  });
});
