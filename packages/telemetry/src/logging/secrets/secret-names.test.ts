import { describe, expect, it } from 'vitest';
import { SecretNames } from './secret-names.js';

describe('names of secrets', () => {
  it.each([
    ...['password', 'userPassword', 'password2', 'passwordHash', 'X-Api-Key', 'AUTHORIZATION', 'proxy-authorization'],
    ...[
      'access_token',
      'Set-Cookie',
      'cookies',
      'AWS_SECRET_ACCESS_KEY',
      'X-Amz-Signature',
      'sig',
      'pwd',
      'tokenValue',
    ],
    ...['privateKey', 'PinCode', '--password'],
    ...['apiKeys', 'AccessKeys', 'AuthorizationHeader', 'cookie_header', 'authHeaders', 'signatures'],
  ])('%s is one, whatever its case and separators', (name) => {
    expect(new SecretNames(['pin-code']).has(name)).toBe(true);
  });

  it.each([
    'tokens',
    'path',
    'key',
    'keys',
    'headers',
    'CacheKeyHeader',
    'Digest',
    'cacheKey',
    'config',
    'tokens_file',
    'author',
    'pinCode',
    '',
  ])('%s is none', (name) => {
    expect(new SecretNames(['', '-']).has(name)).toBe(false);
  });

  it('stay right when more names were asked than are remembered', () => {
    const names = new SecretNames();
    for (let i = 0; i < 3000; i++) names.has(`name${i}`);
    expect(names.has('late_password')).toBe(true);
    expect(names.has('late_name')).toBe(false);
  });

  it('are found at the end of names of any length', () => {
    const names = new SecretNames();
    expect(names.has(`${'x'.repeat(100_000)}_password`)).toBe(true);
    expect(names.has('x'.repeat(100_000))).toBe(false);
  });
});
