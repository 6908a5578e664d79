import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPublicUrl, Origins } from './base-url.js';

const from = (host: string | undefined, socket: Socket = new Socket()) =>
  new Origins().of({ headers: { host }, socket } as IncomingMessage);

describe('the origin that a client sees', () => {
  it.each([
    ['feed.test', 'http://feed.test'],
    ['Feed.Test:8080', 'http://feed.test:8080'],
    ['127.0.0.1:1', 'http://127.0.0.1:1'],
    ['[::1]:8080', 'http://[::1]:8080'],
    ['my_host', 'http://my_host'],
    ['feed.test.', 'http://feed.test.'],
  ])('is that of the Host header %s', (host, origin) => {
    expect(from(host)).toBe(origin);
  });

  it('is https where the connection is', () => {
    expect(from('feed.test', new TLSSocket(new Socket()))).toBe('https://feed.test');
  });

  it('is looked at once for each name, and is not mixed up', () => {
    const origins = new Origins();
    const [plain, secure] = [new Socket(), new TLSSocket(new Socket())];
    const of = (host: string, socket: Socket) => origins.of({ headers: { host }, socket } as IncomingMessage);
    for (let i = 0; i < 200; i++) {
      for (const host of [`a${i}.test`, `a${i % 3}.test`]) {
        expect(of(host, plain)).toBe(`http://${host}`);
        expect(of(host, secure)).toBe(`https://${host}`);
      }
    }
    for (let i = 0; i < 2; i++) expect(() => of('no host', plain)).toThrow(expect.objectContaining({ status: 400 }));
  });

  it.each([
    [undefined],
    [''],
    ['feed.test/path'],
    ['user@feed.test'],
    ['user:pw@feed.test'],
    ['feed.test#x'],
    ['feed.test?x'],
    ['feed test'],
    ['feed..test'],
    ['"><script>'],
    ['feed.test:999999'],
    ['feed.test:80:80'],
    ['feed.test\\evil.test'],
    ['1.2.3.4.5'],
    ['[::1'],
    ['[zz]'],
    ['-feed.test'],
    ['%66eed.test'],
    ['a'.repeat(300)],
  ])('is no other text: %j', (host) => {
    expect(() => from(host)).toThrow(expect.objectContaining({ status: 400 }));
  });

  it('has nothing but a host in it, whatever the header says', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'aZ.:@/[]%#?1-_ \\') })), (host) => {
        let origin: string;
        try {
          origin = from(host);
        } catch {
          return;
        }
        const url = new URL(`${origin}/nuget`);
        expect([url.username, url.password, url.pathname, url.search, url.hash]).toEqual(['', '', '/nuget', '', '']);
        expect(origin).toMatch(/^http:\/\/[\w.[\]:-]+$/);
      }),
    );
  });
});

describe('a public URL', () => {
  it.each([
    ['https://feed.test', 'https://feed.test'],
    ['https://feed.test/', 'https://feed.test'],
    ['http://Feed.test:80/a/b//', 'http://feed.test/a/b'],
  ])('%s is a folder', (text, url) => {
    expect(checkPublicUrl(text)).toBe(url);
  });

  it.each([
    ['feed.test'],
    ['ftp://feed.test'],
    ['https://user@feed.test'],
    ['https://:pw@feed.test'],
    ['https://feed.test?x'],
    ['https://feed.test/#x'],
    [''],
  ])('%j is none', (text) => {
    expect(() => checkPublicUrl(text)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});
