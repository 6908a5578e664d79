import { NupkgReader } from '@granary/nuget';
import { buildPackage, type PackageInit } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { type EmbeddedFile, embeddedIn, isEmbedded, MAX_EMBEDDED_BYTES } from './embedded-file.js';
import { imageType } from './image-type.js';

const PNG = Buffer.from('\x89PNG\r\n\x1a\n, and more', 'latin1');

async function inPackage(file: EmbeddedFile, init: Partial<PackageInit>): Promise<Buffer | undefined> {
  await using reader = await NupkgReader.open(buildPackage({ id: 'A', version: '1.0.0', ...init }));
  return await embeddedIn(reader, file);
}

describe('the icon and the readme in a package', () => {
  it.each(['images/icon.png', 'images\\icon.png', './images/icon.png', '/images/icon.png', 'Images/ICON.png'])(
    'are found as nuspecs name them: %s',
    async (icon) => {
      expect(await inPackage('icon', { metadata: { icon }, files: { 'images/icon.png': PNG } })).toEqual(PNG);
    },
  );

  it.each<[string, EmbeddedFile, Partial<PackageInit>]>([
    ['when the nuspec names none', 'readme', { files: { 'README.md': '# Read me' } }],
    ['when the file is not there', 'readme', { metadata: { readme: 'README.md' } }],
    ['when it leads out of the package', 'readme', { metadata: { readme: '../README.md' } }],
    ['when the icon is no image', 'icon', { metadata: { icon: 'icon.png' }, files: { 'icon.png': '<svg/>' } }],
    ['when the readme is no text', 'readme', { metadata: { readme: 'a' }, files: { a: Buffer.from([0xc3, 0x28]) } }],
    [
      'when they are too long',
      'readme',
      { metadata: { readme: 'a' }, files: { a: Buffer.alloc(MAX_EMBEDDED_BYTES + 1, 0x20) } },
    ],
  ])('are none %s', async (_, file, init) => {
    expect(await inPackage(file, init)).toBeUndefined();
  });

  it('are none when they are broken, which is no reason to give no package', async () => {
    const readme = 'Once upon a time. '.repeat(20);
    const bytes = buildPackage({
      id: 'A',
      version: '1.0.0',
      metadata: { readme: 'a.md' },
      entries: [{ name: 'a.md', data: Buffer.from(readme), method: 'store' }],
    });
    bytes.write('Thrice', bytes.indexOf('Once'));
    await using reader = await NupkgReader.open(bytes);
    expect(await embeddedIn(reader, 'readme')).toBeUndefined();
  });
});

describe('what a source gives as a readme', () => {
  it.each([
    ['# Read me', true],
    ['\u{feff}# Ünïcödé', true],
    ['<p align="center">', true],
    ['', true],
    [' <!DOCTYPE html><title>Sign in</title>', false],
    ['\n<HTML>', false],
  ])('%j may be one: %s', (text, isOne) => {
    expect(isEmbedded('readme', Buffer.from(text))).toBe(isOne);
  });
});

describe('the type of an image', () => {
  it.each([
    ['\x89PNG\r\n\x1a\n', 'image/png'],
    ['\xff\xd8\xff\xe0', 'image/jpeg'],
    ['GIF89a', 'image/gif'],
    ['RIFF\x01\x02\x03\x04WEBP', 'image/webp'],
    ['\0\0\x01\0\x01', 'image/x-icon'],
    ['<svg xmlns="http://www.w3.org/2000/svg">', undefined],
    ['<!DOCTYPE html>', undefined],
    ['', undefined],
  ])('%j is told by its first bytes: %s', (beginning, type) => {
    expect(imageType(Buffer.from(beginning, 'latin1'))).toBe(type);
  });
});
