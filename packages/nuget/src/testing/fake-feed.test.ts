import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { fakeFeed } from './fake-feed.js';

const text = (body: Buffer) => body.toString();
const ask = { cacheKey: 'k', parse: text };

describe('a fake feed', () => {
  it('answers texts, bytes, JSON and functions by whole and by relative URL', async () => {
    const feed = fakeFeed({
      'index.json': { version: '3.0.0' },
      'https://other.test/a': 'text',
      b: Buffer.from('bytes'),
      c: (request) => request.url,
    });
    expect(await feed.document('https://feed.test/v3/index.json', ask)).toBe('{"version":"3.0.0"}');
    expect(await feed.document('https://other.test/a?x=1', ask)).toBe('text');
    expect(await feed.document('https://feed.test/v3/c?x=1', ask)).toBe('https://feed.test/v3/c?x=1');
    const stream = await feed.stream('https://feed.test/v3/b');
    expect(stream?.length).toBe(5);
    expect((await buffer(stream!.body)).toString()).toBe('bytes');
    expect(feed.urls).toHaveLength(4);
    expect(feed.requests[0]?.cacheKey).toBe('k');
  });

  it('prefers the answer for the whole query', async () => {
    const feed = fakeFeed({ q: 'any', 'q?a=1': 'one' });
    expect(await feed.document('https://feed.test/v3/q?a=1', ask)).toBe('one');
    expect(await feed.document('https://feed.test/v3/q?a=2', ask)).toBe('any');
  });

  it('says undefined for 404 and throws for every other failure', async () => {
    const feed = fakeFeed({ gone: 404, busy: 503, no: 401, never: 403, broken: new TypeError('reset'), empty: 200 });
    const at = (path: string) => feed.document(`https://feed.test/v3/${path}`, ask);
    expect(await at('gone')).toBeUndefined();
    expect(await at('unknown')).toBeUndefined();
    expect(await at('empty')).toBe('');
    await expect(at('busy')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', statusCode: 503 });
    await expect(at('no')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(at('never')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(at('broken')).rejects.toThrow('reset');
    expect(await feed.stream('https://feed.test/v3/gone')).toBeUndefined();
  });

  it('keeps to the limit and to the signal', async () => {
    const feed = fakeFeed({ long: 'x'.repeat(11) });
    const url = 'https://feed.test/v3/long';
    await expect(feed.document(url, { ...ask, maxBytes: 10 })).rejects.toMatchObject({ code: 'LIMIT' });
    await expect(feed.document(url, { ...ask, signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
  });

  it('takes what is sent', async () => {
    const feed = fakeFeed({ push: 201, taken: 409 }, { name: 'mine' });
    const body = () => Readable.from(['a', 'b']);
    const put = { method: 'PUT', headers: { 'x-key': '1' }, body } as const;
    expect(await feed.send('https://feed.test/v3/push', put)).toBe(201);
    expect(await feed.send('https://feed.test/v3/other', { method: 'DELETE' })).toBe(404);
    await expect(feed.send('https://feed.test/v3/taken', put)).rejects.toMatchObject({
      source: 'mine',
      statusCode: 409,
    });
    expect(feed.requests[0]).toMatchObject({ kind: 'send', method: 'PUT', headers: { 'x-key': '1' } });
    expect(feed.requests[0]?.body?.toString()).toBe('ab');
  });
});
