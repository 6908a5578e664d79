import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HttpError } from './http-error.js';
import { parseNuGetPath, pathOf } from './nuget-path.js';

const parse = (path: string) => parseNuGetPath(path, '/nuget');

describe('a path', () => {
  it.each([
    ['/nuget/v3/index.json', undefined, 'v3', ['index.json']],
    ['/nuget/v3', undefined, 'v3', []],
    ['/nuget/v2/', undefined, 'v2', []],
    ['/nuget/nuget.org/v3/index.json', 'nuget.org', 'v3', ['index.json']],
    ['/nuget/my%20feed/v3/index.json', 'my feed', 'v3', ['index.json']],
    ['//nuget/v3', undefined, undefined, undefined],
    ['/nuget//v3///flatcontainer//a/index.json', undefined, 'v3', ['flatcontainer', 'a', 'index.json']],
    ['/nuget/v2/Packages(Id=%27a%27,Version=%271.0%27)', undefined, 'v2', ["Packages(Id='a',Version='1.0')"]],
    ['/nuget/v3/flatcontainer/%E4%BD%A0/index.json', undefined, 'v3', ['flatcontainer', '你', 'index.json']],
    ['/nuget/a%2525/v3', 'a%25', 'v3', []],
  ])('%s is decoded once', (path, source, protocol, segments) => {
    if (protocol === undefined) return expect(() => parse(path)).toThrow(HttpError);
    expect(parse(path)).toMatchObject({ source, protocol, segments, inV3: false });
  });

  it('may ask protocol 2 within protocol 3, where service indexes offer it', () => {
    expect(parse('/nuget/v3/v2/Search()')).toMatchObject({ protocol: 'v2', inV3: true, segments: ['Search()'] });
    expect(parse('/nuget/a/v3/v2')).toMatchObject({ source: 'a', protocol: 'v2', inV3: true, segments: [] });
  });

  it.each([
    ['/'],
    ['/nuget'],
    ['/nuget/'],
    ['/nuget/a'],
    ['/nuget/a/b'],
    ['/nugetv3/index.json'],
    ['/NuGet/v3'],
    ['*'],
    [''],
  ])('%j leads nowhere', (path) => {
    expect(() => parse(path)).toThrow(expect.objectContaining({ status: 404 }));
  });

  it.each([
    ['/nuget/v3/../../etc/passwd'],
    ['/nuget/v3/./index.json'],
    ['/nuget/v3/%2e%2e/x'],
    ['/nuget/v3/.%2E/x'],
    ['/nuget/v3/a%2fb/index.json'],
    ['/nuget/v3/a%5Cb/index.json'],
    ['/nuget/v3/a\\b/index.json'],
    ['/nuget/v3/a%00b/index.json'],
    ['/nuget/v3/a%0d%0ab'],
    ['/nuget/v3/%7f'],
    ['/nuget/v3/%'],
    ['/nuget/v3/%zz'],
    ['/nuget/v3/%C0%AE%C0%AE/x'],
    ['/nuget/%2e%2e/v3/index.json'],
  ])('%j is refused', (path) => {
    expect(() => parse(path)).toThrow(expect.objectContaining({ status: 400 }));
  });

  it('has an end', () => {
    expect(() => parse(`/nuget/v3/${'a'.repeat(3000)}`)).toThrow(expect.objectContaining({ status: 414 }));
  });

  it('gives only names, or an error with a status of a client that asks wrongly', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: fc.constantFrom('%2f', '%2e', '%', '0', 'a', '.', '/', '\\', ';', ' ') }),
        ),
        (rest) => {
          try {
            for (const segment of parse(`/nuget/v3/${rest}`).segments) {
              expect(segment).not.toMatch(/[/\\\0]|^\.\.?$|^$/);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(HttpError);
            expect((error as HttpError).status).toBe(400);
          }
        },
      ),
    );
  });
});

describe('the target of a request', () => {
  it.each([
    ['/a/b?x=/c?d', '/a/b'],
    ['/a', '/a'],
    ['http://feed.test:80/a?x', '/a'],
    ['HTTPS://feed.test/a', '/a'],
    ['http://feed.test?x', ''],
    ['*', '*'],
  ])('%s has the path %s', (target, path) => {
    expect(pathOf(target)).toBe(path);
  });
});
