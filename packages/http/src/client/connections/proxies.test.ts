import { expect, it } from 'vitest';
import { proxiesOf } from './proxies.js';

const isDirect = (noProxy: string, url: string) =>
  proxiesOf({ httpProxy: 'proxy:3128', noProxy })?.(new URL(url)) === undefined;

it.each([
  ['::1', 'http://[::1]/'],
  ['0:0:0:0:0:0:0:1', 'http://[::1]:8080/'],
  ['2001:DB8::0:1', 'https://[2001:db8::1]/'],
  ['[::1]:8080', 'http://[::1]:8080/'],
  ['fd00::/8', 'http://[fd00::7]/'],
  ['example.org:8080, 10.0.0.1', 'http://10.0.0.1/'],
  ['example.org:8080, 10.0.0.1', 'http://a.example.org:8080/'],
  ['example.org:443', 'https://example.org/'],
  ['*.Example.org', 'https://feed.example.org/'],
  ['.example.org', 'https://example.org/'],
  ['[0:0:0:0:0:0:0:1]', 'http://[::1]/'],
  ['[2001:DB8:0:0::1]:8080', 'http://[2001:db8::1]:8080/'],
  ['example.org.', 'http://feed.example.org/'],
  ['example.org', 'http://feed.example.org./'],
  ['bücher.example', 'http://www.bücher.example/'],
])('%s excepts %s', (noProxy, url) => {
  expect(isDirect(noProxy, url)).toBe(true);
});

it.each([
  ['::1', 'http://[::2]/'],
  ['fe80::1%lo', 'http://[fe80::1]/'],
  ['example.org:8080', 'https://example.org/'],
  ['example.org', 'https://badexample.org/'],
  ['[::1]:8080', 'http://[::1]/'],
  ['10.0.0.0/8', 'http://10.example.org/'],
  ['10.0.0.0/33', 'http://10.0.0.0/'],
  ['http://example.org', 'http://example.org/'],
])('%s does not except %s', (noProxy, url) => {
  expect(isDirect(noProxy, url)).toBe(false);
});

it.each([
  ['http://ann:secret@proxy:3128', { username: 'ann', password: 'secret' }],
  ['http://token:@proxy', { username: 'token', password: '' }],
  ['http://a%40b:50%25@proxy', { username: 'a@b', password: '50%' }],
  ['http://ann:50%off@proxy', { username: 'ann', password: '50%off' }],
  ['ann:secret@proxy:3128', { username: 'ann', password: 'secret' }],
  ['http://proxy:3128', undefined],
])('the credentials in %s are taken as they are meant', (httpProxy, credentials) => {
  expect(proxiesOf({ httpProxy, noProxy: '' })?.(new URL('http://feed.test'))?.credentials).toEqual(credentials);
});
