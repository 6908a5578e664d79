import { describe, expect, it } from 'vitest';
import { addressesOf } from './source-addresses.js';

describe('a source on another machine', () => {
  const allows = addressesOf('https://feed.example/v3/index.json');

  it.each(['203.0.113.7', '10.0.0.7', '192.168.1.1', '2001:db8::1', 'fd00::1', 'fd00:ec3::254', 'fd20:ce::1'])(
    'may lead to %s',
    (address) => {
      expect(allows(address, 'packages.example')).toBe(true);
    },
  );

  it.each(['127.0.0.1', '127.1.2.3', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:0:0'])(
    'may not lead to this one: %s',
    (address) => {
      expect(allows(address, '127.0.0.1')).toBe(false);
      expect(allows(address, 'rebound.example')).toBe(false);
    },
  );

  it.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:42::42',
    '100.100.100.200',
    '168.63.129.16',
    '::ffff:168.63.129.16',
    '192.0.0.192',
  ])('may not lead to %s', (address) => {
    expect(allows(address, 'metadata.example')).toBe(false);
  });
});

describe('a source on this machine', () => {
  it.each([
    'http://127.0.0.1:5000/v3/index.json',
    'http://localhost:5000/',
    'http://[::1]:5000/',
    'http://0.0.0.0:5000/',
  ])('may lead to it: %s', (url) => {
    expect(addressesOf(url)('127.0.0.1', '127.0.0.1')).toBe(true);
    expect(addressesOf(url)('169.254.169.254', '169.254.169.254')).toBe(false);
  });

  it('may have a name of its own, which it is asked by first', () => {
    const allows = addressesOf('http://Build-1.example:5000/v3/index.json');
    expect(allows('127.0.1.1', 'build-1.example')).toBe(true);
    expect(allows('127.0.0.1', 'localhost')).toBe(true);
  });
});

it('a source with a link-local address may be asked there', () => {
  const allows = addressesOf('http://169.254.7.7/v3/index.json');
  expect(allows('169.254.7.7', '169.254.7.7')).toBe(true);
  expect(allows('169.254.169.254', '169.254.169.254')).toBe(false);
});
