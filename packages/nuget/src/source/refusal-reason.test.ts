import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Authenticator } from '../auth/authenticator.js';
import type { SourceError } from '../errors.js';
import type { HttpFeed } from './http-feed.js';
import { oneLine, secretsIn } from './refusal-reason.js';
import { TestSource } from './testing/test-source.js';

let source: TestSource;
let feed: HttpFeed;

beforeEach(async () => {
  source = await TestSource.start();
  feed = source.feed();
});
afterEach(() => source[Symbol.asyncDispose]());

const KEY = 'oy2-Key.With+Signs';

async function refusal(of = feed): Promise<string> {
  const request = { method: 'PUT', headers: { 'x-nuget-apikey': KEY } } as const;
  const error: SourceError = await of.send(`${source.url}/push?token=${KEY}`, request).then(
    () => Promise.reject(new Error('it was taken')),
    (thrown) => thrown,
  );
  expect(error.statusCode).toBeGreaterThanOrEqual(400);
  const start = `test: ${source.url}/push answered ${error.statusCode}`;
  expect(error.message.slice(0, start.length)).toBe(start);
  return error.message.slice(start.length).replace(/^: /, '');
}

function answers(body: string | Buffer, type?: string, statusText?: string, more: Record<string, string> = {}): void {
  source.answer = (_, res) => {
    res.writeHead(400, statusText ?? 'Bad Request', { ...(type && { 'content-type': type }), ...more }).end(body);
  };
}

describe('the reason of a refusal', () => {
  it('is what the source says behind the status', async () => {
    answers('', undefined, 'The package has no description');
    expect(await refusal()).toBe('The package has no description');
  });

  it('is nothing where the source says nothing', async () => {
    answers('', undefined);
    expect(await refusal()).toBe('');
    answers('', undefined, '');
    expect(await refusal()).toBe('');
  });

  it.each([
    ['text', 'text/plain', 'A nuspec\r\n  is missing.\n', 'A nuspec is missing.'],
    ['text without a type', undefined, 'A nuspec is missing.', 'A nuspec is missing.'],
    ['JSON that is a text', 'application/json', '"No licence"', 'No licence'],
    ['a message', 'application/json', '{"message":"No licence","stackTrace":"at Foo.Bar"}', 'No licence'],
    ['an error in an error', 'application/json', '{"error":{"code":7,"message":"No licence"}}', 'No licence'],
    [
      'problem details',
      'application/problem+json; charset=utf-8',
      '{"type":"about:blank","title":"Invalid","status":400,"errors":{"id":["is taken","is long"]}}',
      'Invalid; is taken; is long',
    ],
    ['several errors', 'application/json', '{"errors":[{"code":"X","message":"a"},"b",null,3]}', 'a; b'],
    ['JSON that says nothing', 'application/json', '{"status":400}', ''],
    ['JSON that is none', 'application/json', 'no json', 'no json'],
    [
      'an OData error',
      'application/xml',
      '<?xml version="1.0"?><m:error xmlns:m="urn:m"><m:code/><m:message>Too &lt;big&gt;</m:message>' +
        '<m:innererror><m:message>at Foo.Bar</m:message></m:innererror></m:error>',
      'Too <big>',
    ],
    [
      'an error of the storage of a cloud',
      'application/xml',
      '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
      'Request has expired',
    ],
    ['XML that breaks off', 'application/xml', '<error><message>Too big</message><', 'Too big'],
    ['XML that says nothing', 'application/xml', '<error/>', ''],
    ['a page', 'text/html', '<html><body><h1>Bad Request</h1></body></html>', ''],
    ['a page that says it is text', 'text/plain', '<!DOCTYPE html><html>…</html>', ''],
  ])('is read from %s', async (_, type, body, reason) => {
    answers(body, type);
    expect(await refusal()).toBe(reason);
  });

  it('is both where they differ, and once where they are alike', async () => {
    answers('The version is 1.0', 'text/plain', 'Package refused');
    expect(await refusal()).toBe('Package refused: The version is 1.0');
    answers('Package refused.', 'text/plain', 'Package refused');
    expect(await refusal()).toBe('Package refused.');
  });

  it('may be compressed', async () => {
    answers(gzipSync('A nuspec is missing.'), 'text/plain', 'Bad Request', { 'content-encoding': 'gzip' });
    expect(await refusal()).toBe('A nuspec is missing.');
  });

  it('holds no expanded entity', async () => {
    answers('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><message>b&x;c</message></a>', 'text/xml');
    expect(await refusal()).toMatch(/^b.{0,3}c$/);
  });

  it('is told of documents and packages, too, as where a feed holds back what is vulnerable', async () => {
    const blocked = { errors: [{ status: 403, message: 'Acme.Core 1.0.0 is blocked by the policy no-critical' }] };
    source.answer = (_, res) => {
      res.writeHead(403, 'Blocked', { 'content-type': 'application/json' }).end(JSON.stringify(blocked));
    };
    const said = {
      code: 'FORBIDDEN',
      message: `test: ${source.url}/x answered 403: Blocked: ${blocked.errors[0]?.message}`,
    };
    await expect(feed.stream(`${source.url}/x`)).rejects.toMatchObject(said);
    await expect(feed.document(`${source.url}/x`, { cacheKey: 'x', parse: () => 1 })).rejects.toMatchObject(said);
  });

  it('is told of credentials that are refused, but for these', async () => {
    const credentials = { type: 'basic', username: 'ann', password: 'hunter2!' } as const;
    const authenticator = new Authenticator({ source: 'test', url: source.url, credentials });
    source.answer = (_, res) => {
      res.writeHead(401, { 'www-authenticate': 'Basic', 'content-type': 'application/json' });
      res.end('{"$id":"1","message":"Access Denied: The token hunter2! has expired.","errorCode":0}');
    };
    const message =
      'test: it refuses the credentials that it was given (it takes basic): Access Denied: The token [redacted] has expired.';
    await expect(source.feed({ authenticator }).stream(`${source.url}/x`)).rejects.toMatchObject({ message });
  });

  it('is short, however long the answer is', async () => {
    answers('x'.repeat(1000));
    expect(await refusal()).toBe(`${'x'.repeat(499)}…`);
    let closed: Promise<void> = Promise.resolve();
    source.answer = (_, res) => {
      closed = new Promise((resolve) => res.once('close', resolve));
      res.writeHead(500, { 'content-type': 'text/plain' });
      const more = (): void => void res.write('too much '.repeat(1000), () => res.destroyed || more());
      more();
    };
    expect(await refusal()).toMatch(/^(too much )+.*…$/);
    await closed;
  });

  // To look from each letter for the end of its word would outlast the test.
  it('is found at once, however long the words are that the answer is made of', async () => {
    answers(`${'x'.repeat(16_383)} ${'y'.repeat(100)}`, 'text/plain');
    for (let asked = 0; asked < 100; asked++) expect(await refusal()).toMatch(/^x+…$/);
  });

  it('is what came before the body broke off', async () => {
    source.answer = (_, res) => {
      res.writeHead(400, 'Refused', { 'content-length': '100' }).write('half', () => res.destroy());
    };
    expect(await refusal()).toMatch(/^Refused(: half)?$/);
  });

  it('commands no terminal', async () => {
    answers('a\u001b[2Jb\u009bc\u202ed\u0000', 'text/plain');
    expect(await refusal()).toBe('a [2Jb c d');
  });

  it('has no secret in it, however the source quotes it', async () => {
    answers(`the API key '${KEY}' is wrong, and ${KEY.toUpperCase()} too`, 'text/plain', `no ${KEY}`);
    expect(await refusal()).toBe("no [redacted]: the API key '[redacted]' is wrong, and [redacted] too");
    const authenticator = new Authenticator({
      source: 'test',
      url: source.url,
      credentials: { type: 'basic', username: 'ann', password: 'hunter2!' },
    });
    source.answer = (req, res) => res.writeHead(400).end(`ann with hunter2! sent ${req.headers.authorization}`);
    const said = await refusal(source.feed({ authenticator }));
    expect(said).toMatch(/^ann with \[redacted\] sent/);
    expect(said).not.toContain(Buffer.from('ann:hunter2!').toString('base64'));
  });

  it('never has a secret in it that lies where the answer is cut', () => {
    fc.assert(
      fc.property(fc.nat(600), (length) => {
        const line = oneLine(`${'x'.repeat(length)} ${KEY}`, secretsIn({ 'X-NuGet-ApiKey': KEY }));
        for (let end = 6; end <= KEY.length; end++) expect(line).not.toContain(KEY.slice(0, end));
      }),
    );
  });
});

describe('a warning of a source that takes a package', () => {
  it('is logged, without secrets', async () => {
    source.answer = (_, res) => {
      res.setHeader('x-nuget-warning', ['licenceUrl is old', `use ${KEY} no more`]);
      res.writeHead(201).end();
    };
    await feed.send(`${source.url}/push`, { method: 'PUT', headers: { 'x-nuget-apikey': KEY } });
    expect(source.logs.filter((line) => line.startsWith('warning')).join()).toMatch(
      /test"? took it, and warns: "?licenceUrl is old[;,] use \[redacted\] no more/,
    );
  });
});
