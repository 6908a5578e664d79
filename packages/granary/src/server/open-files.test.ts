import { describe, expect, it } from 'vitest';
import { openFilesWarnings } from './open-files.js';

const limits = async (files: string) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             95283                95283                processes
Max open files            ${files.padEnd(20)} ${files.padEnd(20)} files
`;

describe('a limit of open files', () => {
  it('is warned of where it ends connections before their own does', async () => {
    expect(await openFilesWarnings(4096, limits('1024'))).toEqual([
      expect.stringMatching(/^Only 1024 files may be open at once, .* limits\.max_connections \(4096\)/),
    ]);
  });

  it.each(['4097', '1048576', 'unlimited'])('is fine with %s', async (files) => {
    expect(await openFilesWarnings(4096, limits(files))).toEqual([]);
  });

  it('is fine where nothing is known of it', async () => {
    expect(await openFilesWarnings(4096, Promise.resolve(''))).toEqual([]);
  });
});
