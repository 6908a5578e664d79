import { describe, expect, it } from 'vitest';
import { TestServer } from '../testing/test-server.js';
import { pushTarget } from './push-target.js';

describe('the target of a push', () => {
  it.each([
    ['PUT', '/api/v2/package/', '/nuget/v2/package/'],
    ['PUT', '/API/v2/Package', '/nuget/v2/package'],
    ['DELETE', '/api/v2/package/A/1.0.0', '/nuget/v2/package/A/1.0.0'],
    ['PUT', '/nuget', '/nuget/v2/package'],
    ['PUT', '/nuget/', '/nuget/v2/package'],
    ['PUT', '/nuget/up/', '/nuget/up/v2/package'],
    ['DELETE', '/nuget/A/1.0.0', '/nuget/v2/package/A/1.0.0'],
    ['POST', '/nuget/up/A/1.0.0', '/nuget/up/v2/package/A/1.0.0'],
    ['PUT', '/nuget/v3/index.json/', '/nuget/v3/package'],
    ['DELETE', '/nuget/up/v3/index.json/A/1.0.0', '/nuget/up/v3/package/A/1.0.0'],
  ])('of %s %s is %s', (method, path, target) => {
    expect(pushTarget(method, path, '/nuget')).toBe(target);
  });

  it.each([
    ['PUT', '/nuget/v2/'],
    ['PUT', '/nuget/v3/package'],
    ['PUT', '/nuget/v3/search'],
    ['POST', '/nuget/v3/index.json'],
    ['PUT', '/nuget/v3/index.json/A/1.0.0'],
    ['DELETE', '/nuget/A'],
    ['PUT', '/nuget/A/1.0.0'],
    ['DELETE', '/nuget/a/b/c/d'],
    ['PUT', '/nugets/'],
    ['PUT', '/api/v2/packages'],
    ['PUT', '/api/v2/'],
  ])('of %s %s is what it says', (method, path) => {
    expect(pushTarget(method, path, '/nuget')).toBe(path);
  });

  it('may lie at the root', () => {
    expect(pushTarget('PUT', '/', '')).toBe('/v2/package');
    expect(pushTarget('PUT', '/up/', '')).toBe('/up/v2/package');
    expect(pushTarget('PUT', '/api/v2/package/', '')).toBe('/api/v2/package/');
  });

  it('takes packages, and lets them be read only where feeds are', async () => {
    await using server = await TestServer.start();
    server.feed.byId.set('a', []);
    const body = Buffer.concat([
      Buffer.from('--b\r\nContent-Disposition: form-data; name="package"; filename="package.nupkg"\r\n\r\n'),
      Buffer.from('a package'),
      Buffer.from('\r\n--b--\r\n'),
    ]);
    const headers = { 'content-type': 'multipart/form-data; boundary=b', 'x-nuget-apikey': 'key' };
    for (const path of ['/api/v2/package/', '/nuget', '/nuget/', '/nuget/v3/index.json/'])
      expect([path, (await server.ask(path, { method: 'PUT', headers, body })).status]).toEqual([path, 201]);
    expect(server.feed.pushed.map(({ bytes, apiKey }) => [String(bytes), apiKey])).toEqual(
      Array(4).fill(['a package', 'key']),
    );
    expect((await server.ask('/nuget/nobody/', { method: 'PUT', headers, body })).status).toBe(404);
    expect((await server.ask('/nuget/a/x', { method: 'DELETE' })).status).toBe(400);
    for (const path of ['/api/v2/package/a/1.0.0', '/nuget/', '/nuget/a/1.0.0'])
      expect([path, (await server.ask(path)).status]).toEqual([path, 404]);
  });
});
