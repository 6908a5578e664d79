import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { SourceError } from '../../errors.js';
import { type FakeAnswer, fakeV3Feed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { packageForm } from '../package-form.js';
import { V3Provider } from './v3-provider.js';

const identity = { id: 'My.Package', version: NuGetVersion.parse('1.0.0.0-Beta+build') };
const pkg = (content = 'the package', size = content.length) => ({
  name: 'my.package.1.0.0.nupkg',
  size,
  open: () => Readable.from([Buffer.from(content)]),
});
const answering = (answer: FakeAnswer) => {
  const feed = fakeV3Feed({ 'package/': answer, 'symbols/': answer, 'package/My.Package/1.0.0-Beta': answer });
  return { feed, provider: new V3Provider(feed) };
};

describe('a push', () => {
  it('uploads the package as the one file of a form', async () => {
    const { feed, provider } = answering(201);
    await provider.push(pkg(), { apiKey: 'secret' });
    const { method, url, headers, body } = feed.requests.at(-1)!;
    expect([method, url]).toEqual(['PUT', 'https://feed.test/v3/package/']);
    expect(headers).toMatchObject({
      'x-nuget-apikey': 'secret',
      'x-nuget-protocol-version': '4.1.0',
      'x-nuget-client-version': '6.14.0',
      'content-length': `${body?.length}`,
    });
    const form = await new Response(new Uint8Array(body!), {
      headers: { 'content-type': headers['content-type']! },
    }).formData();
    const file = form.get('package') as File;
    expect([...form.keys()]).toEqual(['package']);
    expect([file.name, file.type, await file.text()]).toEqual([
      'package.nupkg',
      'application/octet-stream',
      'the package',
    ]);
  });

  it('reads the package anew for each attempt', async () => {
    const form = packageForm(pkg(), 'package.nupkg');
    const [first, second] = [await buffer(form.open()), await buffer(form.open())];
    expect(first.equals(second)).toBe(true);
    expect(first).toHaveLength(form.length);
  });

  it('sends no API key where there is none', async () => {
    const { feed, provider } = answering(202);
    await provider.push(pkg(), { apiKey: '' });
    await provider.push(pkg());
    expect(feed.requests.filter(({ headers }) => 'x-nuget-apikey' in headers)).toEqual([]);
  });

  it('says what is wrong with an API key that no header can hold, and shows nothing of it', async () => {
    const { feed, provider } = answering(201);
    for (const apiKey of ['secret\n', ' secret', 'sécret']) {
      const error = await provider.push(pkg(), { apiKey }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('an API key has visible'),
      });
      expect(String(error)).not.toMatch(/s[eé]cret/);
    }
    expect(feed.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  it('sends no API key unencrypted where the source is asked over https', async () => {
    const feed = fakeV3Feed({}, { 'PackagePublish/2.0.0': 'http://feed.test/package' });
    const pushed = new V3Provider(feed).push(pkg(), { apiKey: 'secret' });
    await expect(pushed).rejects.toMatchObject({ code: 'PROTOCOL' });
    await expect(pushed).rejects.not.toThrow(/secret/);
  });

  it('takes symbols to where the source wants them', async () => {
    const { feed, provider } = answering(201);
    await provider.push(pkg(), { symbols: true });
    expect(feed.urls.at(-1)).toBe('https://feed.test/v3/symbols/');
    expect(feed.requests.at(-1)?.body?.toString('latin1')).toContain('filename="package.snupkg"');
  });

  it.each([[404], [405]])(
    'is tried at the URL as it is written where there is %i with a slash behind',
    async (status) => {
      const feed = fakeV3Feed({ 'package/': status, package: 201 });
      await new V3Provider(feed).push(pkg());
      expect(feed.urls.slice(-2)).toEqual(['https://feed.test/v3/package/', 'https://feed.test/v3/package']);
    },
  );

  it.each([
    [400, 'INVALID_PACKAGE'],
    [401, 'UNAUTHORIZED'],
    [402, 'FORBIDDEN'],
    [403, 'FORBIDDEN'],
    [404, 'UNSUPPORTED'],
    [405, 'UNSUPPORTED'],
    [409, 'CONFLICT'],
    [413, 'LIMIT'],
    [422, 'INVALID_PACKAGE'],
    [500, 'SOURCE_UNAVAILABLE'],
  ])('that is answered with %i fails as %s', async (statusCode, code) => {
    const feed = fakeV3Feed({ 'package/': statusCode, package: statusCode });
    await expect(new V3Provider(feed).push(pkg())).rejects.toMatchObject({ code, statusCode, source: 'fake' });
  });

  it('says why the source refused', async () => {
    const reason = new SourceError('SOURCE_UNAVAILABLE', 'fake', 'The nuspec has no description', {
      statusCode: 400,
      reason: 'no description',
    });
    const error = await answering(reason)
      .provider.push(pkg())
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_PACKAGE', cause: reason, reason: 'no description' });
    expect(String(error)).toMatch(/my\.package\.1\.0\.0\.nupkg.*The nuspec has no description/);
    expect(String(error).match(/fake:/g)).toHaveLength(1);
  });

  it('says of symbols that their package is not there', async () => {
    const pushed = answering(404).provider.push(pkg(), { symbols: true });
    await expect(pushed).rejects.toMatchObject({ code: 'PACKAGE_NOT_FOUND', statusCode: 404 });
  });

  it('lets other failures through as they are', async () => {
    const broken = new SourceError('SOURCE_UNAVAILABLE', 'fake', 'reset');
    await expect(answering(broken).provider.push(pkg())).rejects.toBe(broken);
    await expect(answering(new TypeError('oops')).provider.push(pkg())).rejects.toThrow(TypeError);
  });

  it.each([[5], [50]])('fails when the package is not as long as was said (%i)', async (size) => {
    const pushed = answering(201).provider.push(pkg('the package', size));
    await expect(pushed).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
  });

  it('closes the package when it is given up, even while it waits for it', async () => {
    const content = new Readable({ read() {} });
    const form = packageForm({ name: 'x', size: 10, open: () => content }, 'package.nupkg').open();
    const iterator = form[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next().catch(() => undefined);
    await new Promise(setImmediate);
    const closed = new Promise((resolve) => content.once('close', resolve));
    form.destroy();
    await closed;
    await waiting;
    expect(content.destroyed).toBe(true);
  });

  it('opens no package for a request that is never sent', () => {
    let opened = 0;
    const open = () => {
      opened++;
      return Readable.from([]);
    };
    packageForm({ name: 'x', size: 10, open }, 'package.nupkg').open().destroy();
    expect(opened).toBe(0);
  });

  it('is not supported by sources that take none', async () => {
    const provider = new V3Provider(fakeV3Feed({}, {}));
    await expect(provider.push(pkg())).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(provider.push(pkg(), { symbols: true })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe.each([
  ['delete', 'DELETE'],
  ['relist', 'POST'],
] as const)('%s', (name, method) => {
  it('names id and version in its URL', async () => {
    const { feed, provider } = answering(204);
    expect(await provider[name](identity, { apiKey: 'secret' })).toBe(true);
    expect(feed.requests.at(-1)).toMatchObject({
      method,
      url: 'https://feed.test/v3/package/My.Package/1.0.0-Beta',
      body: undefined,
      headers: { 'x-nuget-apikey': 'secret', 'x-nuget-protocol-version': '4.1.0' },
    });
  });

  it('says whether it was there', async () => {
    expect(await answering(404).provider[name](identity)).toBe(false);
  });

  it.each([
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [405, 'UNSUPPORTED'],
    [409, 'CONFLICT'],
  ])('that is answered with %i fails as %s', async (statusCode, code) => {
    await expect(answering(statusCode).provider[name](identity)).rejects.toMatchObject({ code, statusCode });
  });

  it('asks for no id that is none', async () => {
    const wrong = { id: '../x', version: identity.version };
    await expect(answering(204).provider[name](wrong)).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID' });
  });
});
