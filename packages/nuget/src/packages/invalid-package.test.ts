import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { invalidPackage } from './invalid-package.js';

describe('what went wrong while a package was read', () => {
  it('stays as it is where the system says it, also to the contexts that jest runs tests in', () => {
    const own = Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' });
    const foreign = runInNewContext("Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' })");
    expect(invalidPackage(own, 'is no ZIP archive')).toBe(own);
    expect(invalidPackage(foreign, 'is no ZIP archive')).toBe(foreign);
  });

  it('is the package’s fault else', () => {
    expect(invalidPackage(new Error('no end'), 'is no ZIP archive')).toMatchObject({
      code: 'INVALID_PACKAGE',
      message: 'the package is no ZIP archive: no end',
    });
  });
});
