import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactText } from './redaction.js';
import { SecretNames } from './secret-names.js';

describe('redaction of texts', () => {
  it.each([
    ['grpc://ann:s3cret@host:9092/x', 'grpc://[redacted]@host:9092/x'],
    ['https://ann:p@ss@host/', 'https://[redacted]@host/'],
    ['two http://a:b@x http://c:d@y', 'two http://[redacted]@x http://[redacted]@y'],
    ['Authorization: Basic YW5uOnMzY3JldA==', 'Authorization: [redacted]'],
    ['{"authorization":"Bearer abc.def"}', '{"authorization":"[redacted]"}'],
    ['sent Bearer abcdef123 twice', 'sent Bearer [redacted] twice'],
    ['basic YW5uOnMzY3JldA==', 'basic [redacted]'],
    ['GET /x?access_token=abc&size=3', 'GET /x?access_token=[redacted]&size=3'],
    ['X-NuGet-ApiKey: oy2abc', 'X-NuGet-ApiKey: [redacted]'],
    ['password=hunter2, user=ann', 'password=[redacted], user=ann'],
  ])('hides the secret in %j', (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it.each([
    'http://host:8080/cas/abc',
    'the bearer token is unknown',
    'basic authentication failed for ann@example.org',
    'blobs/0f3a…/142',
    'main/uploads/9b2d/blobs/sha256/ab/3',
    '2026-11-21T05:01:54.145Z',
  ])('leaves %j alone', (text) => {
    expect(redactText(text)).toBe(text);
  });

  it('never shows the password of a URL, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9!$&'()*+,;=:._~-]{8,30}$/), (password) => {
        expect(redactText(`could not reach https://ann:${password}@cache.example/x`)).not.toContain(password);
      }),
    );
  });

  it('takes time in proportion to the text', () => {
    const begun = performance.now();
    for (const piece of ['a.', '://', ':// ', 'basic ', 'token', 'authorization:', '@'])
      redactText(piece.repeat(50_000));
    // Quadratic time would be minutes.
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

describe('names of secrets', () => {
  it('are known whatever their case and separators', () => {
    const names = new SecretNames(['pin-code']);
    for (const name of ['password', 'userPassword', 'X-Api-Key', 'AUTHORIZATION', 'access_token', 'PinCode']) {
      expect(names.has(name), name).toBe(true);
    }
    for (const name of ['tokens', 'path', 'key', 'Digest']) expect(names.has(name), name).toBe(false);
  });

  it('stay right when more names were asked than are remembered', () => {
    const names = new SecretNames();
    for (let i = 0; i < 3000; i++) names.has(`name${i}`);
    expect(names.has('late_password')).toBe(true);
    expect(names.has('late_name')).toBe(false);
  });
});
