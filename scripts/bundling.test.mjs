// Programs that use the packages are bundled, by esbuild, webpack and others, into one file of ES modules or CommonJS, and
// go on working without what they don't use.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './setup.mjs';

const IMPORTED = /\b(?:from|import) ?['"](\.[^'"]+)['"]/g;

/** The libraries; `granary` is a program that is installed. */
const libraries = readdirSync(join(ROOT, 'packages'))
  .filter((folder) => folder !== 'granary')
  .map((folder) => {
    const path = join(ROOT, 'packages', folder);
    return { path, ...JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) };
  });

/** A module's code and that of all that it imports, by file. */
function codeOf(file, seen = new Map()) {
  if (seen.has(file)) return seen;
  const code = readFileSync(file, 'utf8');
  seen.set(file, code);
  for (const [, name] of code.matchAll(IMPORTED)) codeOf(join(dirname(file), name), seen);
  return seen;
}

function linesWith(pattern, modules) {
  return [...modules].flatMap(([file, code]) => {
    const lines = code.split('\n').filter((line) => pattern.test(line));
    return lines.map((line) => `${relative(ROOT, file)}: ${line}`);
  });
}

describe.each(libraries)('a program with $name', ({ path, exports, peerDependencies = {} }) => {
  const modules = new Map();
  for (const entry of Object.values(exports)) codeOf(join(path, entry.default), modules);

  it('starts on each Node when it is bundled', () => {
    // What is read of a namespace becomes an import by name, and what this Node doesn't have can't be imported.
    expect(linesWith(/^import \* as \w+ from ['"]node:/, modules)).toEqual([]);
  });

  it('starts when it is bundled as CommonJS, where modules have no URL', () => {
    expect(linesWith(/^\S.*import\.meta/, modules)).toEqual([]);
  });

  it('can be bundled without the packages that only some install', () => {
    const optional = `['"](?:${Object.keys(peerDependencies).join('|') || 'none'})['"]`;
    // A bundler takes the failure for a matter of the program where that looks at it.
    const needed = new RegExp(`from ${optional}|import\\(${optional}\\)(?!\\.catch\\()`);
    expect(linesWith(needed, codeOf(join(path, exports['.'].default)))).toEqual([]);
  });
});
