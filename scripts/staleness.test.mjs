import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  builtOutputs,
  foldersToBuild,
  installFingerprint,
  isBuilt,
  isInstalled,
  sourceFingerprint,
} from './staleness.mjs';

const FOLDERS = ['packages/one', 'packages/granary'];

let root;
const write = (path, content = '') => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'granary-staleness-'));
  write('package.json', '{"workspaces":["packages/one","e2e"]}');
  write('package-lock.json', '{}');
  write('packages/one/package.json', '{"name":"one"}');
  write('e2e/package.json', '{"name":"e2e"}');
  write(
    'tsconfig.json',
    '{"references":[{"path":"packages/one"},{"path":"packages/granary"},{"path":"packages/two"}]}',
  );
  write('packages/granary/tsconfig.json', '{"references":[{"path":"../one"}]}');
  write('packages/granary/src/main.ts');
  write('packages/granary/dist/main.js');
  write('packages/two/tsconfig.json', '{}');
  write('packages/two/src/index.ts');
  write('packages/two/dist/index.js');
  write('tsconfig.base.json', '{}');
  write('packages/one/tsconfig.json', '{}');
  write('packages/one/src/index.ts');
  write('packages/one/src/deep/part.ts');
  write('packages/one/src/index.test.ts');
  write('packages/one/dist/index.js');
  write('packages/one/dist/deep/part.js');
});
afterEach(() => rmSync(root, { recursive: true }));

describe('dependencies', () => {
  it.each(['package-lock.json', 'package.json', 'packages/one/package.json', 'e2e/package.json'])(
    'are stale when %s changes',
    (file) => {
      const before = installFingerprint(root);
      expect(installFingerprint(root)).toBe(before);
      write(file, '{"workspaces":["packages/one","e2e"],"version":"2"}');
      expect(installFingerprint(root)).not.toBe(before);
    },
  );

  it('for the server are there when everything is, and not the other way round', () => {
    expect(isInstalled({ fingerprint: 'a', installed: 'everything' }, 'a', 'runtime')).toBe(true);
    expect(isInstalled({ fingerprint: 'a', installed: 'runtime' }, 'a', 'runtime')).toBe(true);
    expect(isInstalled({ fingerprint: 'a', installed: 'runtime' }, 'a', 'everything')).toBe(false);
    expect(isInstalled({ fingerprint: 'b', installed: 'everything' }, 'a', 'runtime')).toBe(false);
    expect(isInstalled(undefined, 'a', 'runtime')).toBe(false);
  });
});

describe('a build', () => {
  it('is stale when a source is edited, added or removed, or the compiler is told something else', () => {
    const fingerprints = [sourceFingerprint(root, FOLDERS)];
    const changed = () => {
      fingerprints.push(sourceFingerprint(root, FOLDERS));
      expect(new Set(fingerprints).size).toBe(fingerprints.length);
    };
    write('packages/one/src/index.ts', 'longer');
    changed();
    utimesSync(join(root, 'packages/one/src/index.ts'), 1, 1);
    changed();
    write('packages/one/src/new.ts');
    changed();
    rmSync(join(root, 'packages/one/src/deep/part.ts'));
    changed();
    write('packages/one/tsconfig.json', '{ }');
    changed();
  });

  it('is not stale because of a test, or a folder that is not built', () => {
    const before = sourceFingerprint(root, FOLDERS);
    write('packages/one/src/index.test.ts', 'longer');
    write('packages/left-over/dist/index.js');
    expect(sourceFingerprint(root, FOLDERS)).toBe(before);
  });

  it('is good as long as the sources are the same and all that it made is there', () => {
    // Never built: what the compiler was told to leave out.
    write('packages/one/src/testing/faulty.ts');
    const stamp = () => ({
      folders: FOLDERS,
      fingerprint: sourceFingerprint(root, FOLDERS),
      files: builtOutputs(root, FOLDERS),
    });
    const built = stamp();
    expect(isBuilt(root, undefined, 'runtime')).toBe(false);
    expect(isBuilt(root, { fingerprint: built.fingerprint }, 'runtime')).toBe(false);
    expect(isBuilt(root, { ...built, files: null }, 'runtime')).toBe(false);
    expect(isBuilt(root, built, 'runtime')).toBe(true);
    write('packages/one/src/new.ts');
    expect(isBuilt(root, built, 'runtime')).toBe(false);
    const again = stamp();
    rmSync(join(root, 'packages/one/dist/deep/part.js'));
    expect(isBuilt(root, again, 'runtime')).toBe(false);
    rmSync(join(root, 'packages/one/dist'), { recursive: true });
    expect(isBuilt(root, again, 'runtime')).toBe(false);
  });

  it('is of the server and what it is made of, or of everything', () => {
    expect(foldersToBuild(root, 'runtime').sort()).toEqual(['packages/granary', 'packages/one']);
    const all = foldersToBuild(root, 'everything');
    expect(all).toEqual(['packages/one', 'packages/granary', 'packages/two']);
    const stampOf = (folders) => ({
      folders,
      fingerprint: sourceFingerprint(root, folders),
      files: builtOutputs(root, folders),
    });
    expect(isBuilt(root, stampOf(FOLDERS), 'runtime')).toBe(true);
    expect(isBuilt(root, stampOf(FOLDERS), 'everything')).toBe(false);
    expect(isBuilt(root, stampOf(all), 'everything')).toBe(true);
    const whole = stampOf(all);
    expect(isBuilt(root, whole, 'runtime')).toBe(true);
    rmSync(join(root, 'packages/two'), { recursive: true });
    expect(isBuilt(root, whole, 'runtime')).toBe(false);
  });
});
