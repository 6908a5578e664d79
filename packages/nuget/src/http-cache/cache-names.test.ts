import { describe, expect, it } from 'vitest';
import { entryName, sourceFolder } from './cache-names.js';

const NUGET_ORG = 'https://api.nuget.org/v3/index.json';

describe('the folder of a source', () => {
  // As they are found on machines where NuGet restored something.
  it('is the one of NuGet.Client, on each platform', () => {
    expect(sourceFolder(NUGET_ORG, 'linux')).toBe(
      '670c1461c29885f9aa22c281d8b7da90845b38e4$ps:_api.nuget.org_v3_index.json',
    );
    expect(sourceFolder(NUGET_ORG, 'win32')).toBe(
      '670c1461c29885f9aa22c281d8b7da90845b38e4$ps_api.nuget.org_v3_index.json',
    );
  });

  it('has the whole of a short URL, and tells URLs apart by every character', () => {
    expect(sourceFolder('http://h/', 'linux')).toMatch(/^[0-9a-f]{40}\$http:_h_$/);
    expect(sourceFolder('http://h', 'linux').slice(0, 40)).not.toBe(sourceFolder('http://h/', 'linux').slice(0, 40));
  });

  it('tells nothing of credentials', () => {
    expect(sourceFolder('http://me:secret@h/x')).toBe(sourceFolder('http://h/x'));
  });
});

describe('the name of an entry', () => {
  it('is the key with what no file name can have replaced, and doubled underscores once or twice halved', () => {
    expect(entryName('list_newtonsoft.json', 'linux')).toBe('list_newtonsoft.json');
    expect(entryName('a/b:c\\d', 'linux')).toBe('a_b:c\\d');
    expect(entryName('a/b:c\\d*?"<>|', 'win32')).toBe('a_b_c_d__');
    expect(entryName('a____b', 'linux')).toBe('a_b');
    expect(entryName('a_____b', 'linux')).toBe('a__b');
  });

  it('never leaves the folder', () => {
    for (const key of ['..', '../../etc/passwd', '/etc/passwd', 'a/../../b', '..\\..\\b', 'a\0b', '.']) {
      for (const platform of ['linux', 'win32'] as const) {
        expect(`${entryName(key, platform)}.dat`).not.toMatch(
          platform === 'win32' ? /[\\/:]|^\.\.?$/ : /[\0/]|^\.\.?$/,
        );
      }
    }
  });

  it('is a hash where the key is too long for a name or has control characters', () => {
    const long = 'x'.repeat(300);
    expect(entryName(long)).toMatch(/^long_[0-9a-f]{40}$/);
    expect(entryName(`${long}y`)).not.toBe(entryName(long));
    expect(entryName('é'.repeat(101))).toMatch(/^long_/);
    expect(entryName('a\nb')).toMatch(/^long_/);
  });

  it('is refused for an empty key', () => {
    expect(() => entryName('')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});
