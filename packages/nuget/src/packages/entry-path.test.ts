import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSafePath, pathOfEntry, withoutIdleSteps } from './entry-path.js';

describe('the path of an entry', () => {
  it.each([
    ['lib/net8.0/A.dll', 'lib/net8.0/A.dll'],
    ['lib/portable-net45%2Bwin8/a%20b.dll', 'lib/portable-net45+win8/a b.dll'],
    ['lib\\net45\\A.dll', 'lib/net45/A.dll'],
    ['/lib/A.dll', 'lib/A.dll'],
    ['%C3%BC/%E2%82%AC', 'ü/€'],
    ['100%/a%2', '100%/a%2'],
    ['%FF%41%c3', '%FFA%c3'],
    ['%C0%AF%ED%A0%80', '%C0%AF%ED%A0%80'],
    ['a%f0%9f%98%80.%C3%FC', 'a😀.%C3%FC'],
    ['%2541', '%41'],
    ['[Content_Types].xml', '[Content_Types].xml'],
    ['..%2F..%5Cx', '../../x'],
  ])('of %j is %j', (name, path) => {
    expect(pathOfEntry(name)).toBe(path);
  });
});

describe('a path without idle steps', () => {
  it.each([
    ['lib//net8.0///A.dll', 'lib/net8.0/A.dll'],
    ['./lib/./A.dll', 'lib/A.dll'],
    ['.//lib/A.dll', 'lib/A.dll'],
    ['lib/.hidden/a./b', 'lib/.hidden/a./b'],
    ['lib/../A.dll', 'lib/../A.dll'],
    ['//server/share', '//server/share'],
    ['/./x', '/x'],
    ['lib//', 'lib/'],
    ['lib/.', 'lib/.'],
  ])('of %j is %j', (path, expected) => {
    expect(withoutIdleSteps(path)).toBe(expected);
  });
});

describe('a path that is written to', () => {
  it.each([
    'A.dll',
    'lib/net8.0/A.dll',
    'content/a b/ü€.txt',
    'tools/console.exe',
    'lib/...dll',
    'com/nullable/auxiliary.cs',
    '.signature.p7s',
    'a~1/[x]{y}#%.txt',
  ])('may be %j', (path) => {
    expect(checkSafePath(path)).toBe(path);
  });

  it('must not be too long for file systems, nor have a name that is', () => {
    for (const path of [`lib/${'ü'.repeat(127)}x`, `${'a/'.repeat(2047)}x`]) expect(checkSafePath(path)).toBe(path);
    for (const path of [`lib/${'ü'.repeat(128)}`, `${'a/'.repeat(2048)}x`, 'a/'.repeat(30_000)]) {
      expect(() => checkSafePath(path)).toThrow(
        expect.objectContaining({ code: 'INVALID_PACKAGE', message: expect.stringContaining('longer than') }),
      );
    }
  });

  it.each([
    ['', 'empty'],
    ['/etc/passwd', 'absolute'],
    ['//server/share/x', 'absolute'],
    ['C:/x', 'drive'],
    ['c:x', 'drive'],
    ['../x', 'leaves'],
    ['lib/../../x', 'leaves'],
    ['lib/..', 'leaves'],
    ['lib/./x', 'empty step'],
    ['lib//x', 'empty step'],
    ['lib/', 'empty step'],
    ['lib/x.', 'dot or a space'],
    ['lib /x', 'dot or a space'],
    ['lib/.. /x', 'dot or a space'],
    ['lib/.../x', 'dot or a space'],
    ['CON', 'device'],
    ['lib/nul.txt', 'device'],
    ['lib/Com1', 'device'],
    ['lpt¹.log/x', 'device'],
    ['lib/a:stream', 'character'],
    ['lib/a\u0000.dll', 'character'],
    ['lib/a\nb', 'character'],
    ['lib/*', 'character'],
  ])('must not be %j', (path, reason) => {
    expect(() => checkSafePath(path)).toThrow(
      expect.objectContaining({ code: 'INVALID_PACKAGE', message: expect.stringContaining(reason) }),
    );
  });

  it('never leaves the folder, whatever the name of the entry', () => {
    const piece = fc.constantFrom(
      '..',
      '.',
      '/',
      '\\',
      'a',
      'C:',
      '%2e',
      '%2F',
      '%5c',
      '\u0000',
      ' ',
      'con',
      '%25',
      '2e',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        let path: string;
        try {
          path = checkSafePath(withoutIdleSteps(pathOfEntry(pieces.join(''))));
        } catch {
          return;
        }
        const url = new URL(path.split('/').map(encodeURIComponent).join('/'), 'file:///target/');
        expect(url.pathname.startsWith('/target/')).toBe(true);
        expect(path.split('/')).not.toContain('..');
        expect(path).not.toMatch(/[\\:]/);
      }),
    );
  });
});
