import { describe, expect, it } from 'vitest';
import { parseTarget } from './target.js';

describe('a target', () => {
  it.each([
    ['grpc://cache:1234', 'dns:cache:1234', false],
    ['grpc://cache', 'dns:cache:9092', false],
    ['grpc://cache:80', 'dns:cache:80', false],
    ['cache:1234', 'dns:cache:1234', false],
    ['cache', 'dns:cache:9092', false],
    ['127.0.0.1:99', 'dns:127.0.0.1:99', false],
    ['[::1]:99', 'dns:[::1]:99', false],
    ['grpcs://cache.example.com', 'dns:cache.example.com:443', true],
    ['GRPCS://cache.example.com:8443/', 'dns:cache.example.com:8443', true],
    ['unix:/run/cache.sock', 'unix:/run/cache.sock', false],
    ['unix:///run/cache.sock', 'unix:/run/cache.sock', false],
    ['unix:cache.sock', 'unix:cache.sock', false],
  ])('%s is %s', (text, address, tls) => {
    expect(parseTarget(text)).toMatchObject({ address, tls });
  });

  it.each([
    ['', /no address/],
    ['grpc://', /no address/],
    [':99', /no address/],
    ['cache:port', /no address/],
    ['cache:99999', /no address/],
    ['cache:0', /port 0/],
    ['grpc://ca che:1', /no address/],
    ['http://cache:8080', /scheme "http"/],
    ['grpc://cache:1/main', /instanceName/],
    ['grpc://cache:1?x=y', /instanceName/],
    ['unix:', /no path/],
    ['unix:\0', /no path/],
  ])('can not be %j', (text, error) => {
    expect(() => parseTarget(text)).toThrow(RangeError);
    expect(() => parseTarget(text)).toThrow(error);
  });

  it.each(['grpc://ci:hunter2@cache', 'ci:hunter2@cache:1', 'grpcs://hunter2@cache', 'grpc://ci:hunt er2@cache'])(
    'with credentials (%s) is refused without quoting them',
    (text) => {
      let message = '';
      try {
        parseTarget(text);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/credentials|no address/);
      expect(message).not.toContain('er2');
    },
  );
});
