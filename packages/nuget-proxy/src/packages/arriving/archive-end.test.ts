import { buildPackage } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { hasArchiveEnd } from './archive-end.js';

const bytes = buildPackage({ id: 'Contoso.A', version: '1.0.0', files: { 'lib/net8.0/A.dll': Buffer.alloc(1000, 7) } });

function hasEnd(of: Buffer): Promise<boolean> {
  return hasArchiveEnd({
    size: of.length,
    read: async (position, length) => of.subarray(position, position + length),
  });
}

/** The same with a comment of so many bytes. */
function commented(length: number): Buffer {
  const copy = Buffer.concat([bytes, Buffer.alloc(length, 'PK')]);
  copy.writeUInt16LE(length, bytes.length - 2);
  return copy;
}

describe('the end of an archive', () => {
  it.each([0, 1, 1000, 65_535])('is there, with a comment of %i bytes', async (length) => {
    expect(await hasEnd(commented(length))).toBe(true);
  });

  it('is not there wherever it was cut off', async () => {
    for (let end = 0; end < bytes.length; end++)
      expect([end, await hasEnd(bytes.subarray(0, end))]).toEqual([end, false]);
  });

  it('is not there when it was cut off in its comment, or has something behind it', async () => {
    expect(await hasEnd(commented(1000).subarray(0, -1))).toBe(false);
    expect(await hasEnd(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe(false);
    expect(await hasEnd(Buffer.alloc(100_000, 'PK\x05\x06', 'latin1'))).toBe(false);
  });
});
