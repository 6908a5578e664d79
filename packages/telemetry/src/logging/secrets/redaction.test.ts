import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactStart, redactText } from './redaction.js';

describe('redaction of texts', () => {
  it.each([
    // Users and passwords in URLs.
    ['grpc://ann:s3cret@host:9092/x', 'grpc://[redacted]@host:9092/x'],
    ['https://ann:p@ss@host/', 'https://[redacted]@host/'],
    ['two http://a:b@x http://c:d@y', 'two http://[redacted]@x http://[redacted]@y'],
    ['http://s3cret@host/', 'http://[redacted]@host/'],
    ['https:ann:s3cret@host/', 'https:[redacted]@host/'],
    ['https:/ann:s3cret@host/', 'https:/[redacted]@host/'],
    ['https:\\\\ann:s3cret@host/', 'https:\\\\[redacted]@host/'],
    ['https:///ann:s3cret@host/', 'https:///[redacted]@host/'],
    ['found "https//ann:s3cret@host/v3"; allowed', 'found "https//[redacted]@host/v3"; allowed'],
    ['http;//ann:s3cret@host/', 'http;//[redacted]@host/'],
    ['Invalid URL: http://ann:s3/cr#et@host/x', 'Invalid URL: http://[redacted]@host/x'],
    ['/login?next=http%3A%2F%2Fann%3As3cret%40host%2Fx', '/login?next=http%3A%2F%2F[redacted]%40host%2Fx'],
    ['http://proxy/a?to=http://ann:s3cret@host/x', 'http://proxy/a?to=http://[redacted]@host/x'],
    // Headers.
    ['Authorization: Basic YW5uOnMzY3JldA==', 'Authorization: [redacted]'],
    ['authorization: Digest username="ann", response="s3cret"\nHost: x', 'authorization: [redacted]\nHost: x'],
    ['Proxy-Authorization: Negotiate s3cret', 'Proxy-Authorization: [redacted]'],
    ['Cookie: a=1; sid=s3cret\r\nHost: x', 'Cookie: [redacted]\r\nHost: x'],
    ['Set-Cookie: sid=s3cret; Path=/', 'Set-Cookie: [redacted]'],
    ['Cookie: a=eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln; sid=s3cret', 'Cookie: [redacted]'],
    ['eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln and password=s3cret', '[redacted] and password=[redacted]'],
    ['X-NuGet-ApiKey: oy2abc', 'X-NuGet-ApiKey: [redacted]'],
    ['x-api-key:s3cret next', 'x-api-key:[redacted] next'],
    [`curl -H "Authorization: Bearer s3cret" https://host/`, `curl -H "Authorization: [redacted]" https://host/`],
    [`curl -H 'cookie: a=s3cret; b=c' https://host/`, `curl -H 'cookie: [redacted]' https://host/`],
    [`["authorization", "Basic s3cret"]`, `["authorization", "[redacted]"]`],
    // JSON, and JSON in JSON.
    ['{"authorization":"Bearer abc.def"}', '{"authorization":"[redacted]"}'],
    ['{"password":"s3\\"cret","user":"ann"}', '{"password":"[redacted]","user":"ann"}'],
    ['"{\\"apiKey\\":\\"s3cret\\",\\"a\\":1}"', '"{\\"apiKey\\":\\"[redacted]\\",\\"a\\":1}"'],
    [`{ token: 's3cret', a: 1 }`, `{ token: '[redacted]', a: 1 }`],
    ['{"token":"s3cret that was cut o', '{"token":"[redacted]'],
    ['{"token":null,"secret":true}', '{"token":null,"secret":true}'],
    // Parameters.
    ['GET /x?access_token=abc&size=3', 'GET /x?access_token=[redacted]&size=3'],
    [
      '/x?X-Amz-Signature=abc&X-Amz-Credential=AKIA%2Fx&z',
      '/x?X-Amz-Signature=[redacted]&X-Amz-Credential=[redacted]&z',
    ],
    ['/x?sv=2024&sig=abc%3D', '/x?sv=2024&sig=[redacted]'],
    ['/x%3Ftoken%3Dabc', '/x%3Ftoken%3D[redacted]'],
    ['password=hunter2, user=ann', 'password=[redacted], user=ann'],
    ['Server=x;Pwd=hunter2;Database=y', 'Server=x;Pwd=[redacted];Database=y'],
    ['password = "correct horse"', 'password = "[redacted]"'],
    ['password: hunter2', 'password: [redacted]'],
    ['AWS_SECRET_ACCESS_KEY=abc', 'AWS_SECRET_ACCESS_KEY=[redacted]'],
    ['login --user ann --password hunter2 --now', 'login --user ann --password [redacted] --now'],
    ['authorization=Bearer abc next', 'authorization=[redacted] next'],
    ['token: 0123456789abcdef', 'token: [redacted]'],
    // XML, such as a NuGet.Config.
    ['<add key="ClearTextPassword" value="hunter 2" />', '<add key="ClearTextPassword" value="[redacted]" />'],
    [`<add key='Password'\tvalue = 'hunter2'/>`, `<add key='Password'\tvalue = '[redacted]'/>`],
    ['<apikey>hunter2</apikey><size>3</size>', '<apikey>[redacted]</apikey><size>3</size>'],
    ['<Password kind="plain">hunter2</Password>', '<Password kind="plain">[redacted]</Password>'],
    ['<token>hunter</token>', '<token>[redacted]</token>'],
    // What stands behind a name may be the next one.
    ['bad credentials: password: hunter2', 'bad credentials: password: [redacted]'],
    ['invalid token: Authorization: hunter', 'invalid token: Authorization: [redacted]'],
    ['no token: cookie: sid=hunter', 'no token: cookie: [redacted]'],
    ['password: authorization: hunter', 'password: [redacted] [redacted]'],
    ["://token='\n'@", '://[redacted]@'],
    // Schemes, and what looks like a secret.
    ['sent Bearer abcdef123 twice', 'sent Bearer [redacted] twice'],
    ['basic YW5uOnMzY3JldA==', 'basic [redacted]'],
    ['got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.', 'got [redacted].'],
    [`with ghp_${'a1'.repeat(18)}`, 'with [redacted]'],
    [
      '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n\nabc\n-----END RSA PRIVATE KEY-----',
      '[redacted]-----END RSA PRIVATE KEY-----',
    ],
  ])('hides the secret in %j', (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it.each([
    'http://host:8080/cas/abc',
    'http://host:8080/@scope/name and ann@example.org',
    'http://[::1]:8080/@scope/name',
    'http:8080/@scope/name',
    'node_modules/http/@scope/name',
    'http: ann@example.org',
    'https://registry.example/@granary/cache?x=1:2@3',
    'the bearer token is unknown',
    'basic authentication failed for ann@example.org',
    'Bearer of bad news',
    'Unexpected token: end of file',
    'Unexpected token } in JSON at position 3',
    'unknown token: expired',
    '<add key="Password" />\n<add key="Username" value="ann" />',
    '<password/><user>ann</user>',
    'a token > 3 characters, and passwords >= 8',
    'signature: mismatch',
    'auth.tokens_file: /etc/granary/tokens',
    'tokens=3 tokens: 4 refillRate=5',
    'Certificates, users and tokens were read again',
    'blobs/0f3a…/142',
    'main/uploads/9b2d/blobs/sha256/ab/3',
    '2026-11-21T05:01:54.145Z',
    'key: ab/3, keys=4, config=x, design: y, monkey=z, cache_key=ab',
    'eyJ is how tokens begin',
    'passed: 3, failed: 0',
    'there is no password, "ann" is nobody',
    '{"required":["password","user"]}',
  ])('leaves %j alone', (text) => {
    expect(redactText(text)).toBe(text);
  });

  it('hides nothing twice, and leaves what is hidden as it is', () => {
    const pieces = fc.constantFrom(
      'token',
      '=',
      ': ',
      '"',
      "'",
      '\\',
      '://',
      '@',
      'Authorization',
      'Bearer ',
      'x1',
      '\n',
      ',',
      '[redacted]',
      ' ',
      '&',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
        const once = redactText(parts.join(''));
        expect(redactText(once)).toBe(once);
      }),
      { numRuns: 2000 },
    );
  });

  it('never shows the password of a URL, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9!$&'()*+,;=:._~-]{8,30}$/), (password) => {
        expect(redactText(`could not reach https://ann:${password}@cache.example/x`)).not.toContain(password);
      }),
    );
  });

  it.each([
    'a.',
    '://',
    ':// ',
    '://a:b',
    '%3a%2f%2f',
    '%3a%2f%2fa%40',
    'basic ',
    'basic  ',
    'token',
    'token=',
    'token="',
    `token='`,
    'token=\\"',
    '"authorization: x',
    'authorization:',
    'authorization: "',
    'cookie,"',
    '--token ',
    '@',
    '://@',
    'http:',
    'http:@',
    'http//',
    '"',
    '\\',
    'eyJ',
    'eyJaaaaaaa.',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN ',
    'ghp_',
    'password: [redacted]',
    ' ',
    'x',
    '%40',
    '{"key":"',
  ])('takes time in proportion to the text: %j', (piece) => {
    const small = 2 ** 16;
    const text = (size: number) => `token=${piece.repeat(size / piece.length)}\u00fc`;
    const time = (subject: string) => {
      const begun = performance.now();
      redactText(subject);
      return performance.now() - begun;
    };
    const [short, long] = [text(small), text(16 * small)];
    time(short);
    // In proportion it would be 16 times; with the square of the size, 256. A machine with other work needs some tries.
    let ratio = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 20 && ratio >= 160; tries++) {
      ratio = Math.min(ratio, time(long) / Math.max(time(short), 0.05));
    }
    expect(ratio).toBeLessThan(160);
  });
});

describe('redaction of the beginning of a text', () => {
  it.each([10, 100, 8192])('never shows a part of a password, wherever a text is cut at %i characters', (maxLength) => {
    for (let before = 0; before < 40; before++) {
      const padding = 'x'.repeat(Math.max(0, maxLength - before - 1));
      for (const after of ['', ' and so on', 'y'.repeat(5000)]) {
        const shown = redactStart(`${padding} https://ann:s3cretPassword@host/${after}`, maxLength);
        expect(shown).not.toContain('s3');
        expect(shown.length).toBeLessThanOrEqual(maxLength + 1);
      }
    }
  });

  it('shows nothing that was cut where the look ended, however much of what is before is hidden', () => {
    const text = `password=${'x'.repeat(1092)} https://ann:s3cretPassword@host/`;
    expect(redactText(text.slice(0, 1124))).toContain('s3cret');
    expect(redactStart(text, 100)).not.toContain('s3');
  });

  it('is the whole text where that is not longer, and says where it ends otherwise', () => {
    expect(redactStart('token=abc', 100)).toBe('token=[redacted]');
    expect(redactStart(`password=${'x'.repeat(200)} wrong`, 100)).toBe('password=[redacted] wrong');
    expect(redactStart('x'.repeat(101), 100)).toBe(`${'x'.repeat(100)}…`);
    expect(redactStart('x'.repeat(1e6), 100)).toBe(`${'x'.repeat(100)}…`);
  });
});
