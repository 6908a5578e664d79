import { expect, it } from 'vitest';
import { proxiesOf } from './proxies.js';

it.each([
  ['::1', '[::1]'],
  ['0:0:0:0:0:0:0:1', '[::1]'],
  ['2001:DB8::0:1', '[2001:db8::1]'],
  ['fe80::1%lo', 'fe80::1%lo'],
  ['example.org:8080, 10.0.0.1', 'example.org:8080,10.0.0.1'],
])('what is asked directly may be an address in any of its forms: %s', (given, expected) => {
  expect(proxiesOf({ httpProxy: 'proxy:3128', noProxy: given })?.noProxy).toBe(expected);
});
