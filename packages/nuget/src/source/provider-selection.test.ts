import { describe, expect, it } from 'vitest';
import { SourceError } from '../errors.js';
import { type FakeFeed, fakeFeed } from '../testing/index.js';
import { ProviderSelection } from './provider-selection.js';

const INDEX = { version: '3.0.0', resources: [] };
const EDMX = `<?xml version="1.0"?>
<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices>
  <Schema Namespace="Gallery" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
    <EntityType Name="Package"><Property Name="Id" Type="Edm.String" /></EntityType>
    <EntityContainer Name="Feed"><EntitySet Name="Packages" EntityType="Gallery.Package" /></EntityContainer>
  </Schema>
</edmx:DataServices></edmx:Edmx>`;
const LOGIN = '<!DOCTYPE html><html></html>';
const V3 = 'https://feed.test/v3/index.json';
const V2 = 'https://feed.test/api/v2';

const protocolOf = async (feed: FakeFeed) => (await new ProviderSelection(feed).provider()).protocol;

describe('the protocol of a source', () => {
  it('is 3 where its URL is a service index', async () => {
    const feed = fakeFeed({ [V3]: INDEX }, { url: V3 });
    expect(await protocolOf(feed)).toBe('v3');
    expect(feed.urls).toEqual([V3]);
  });

  it('is 2 everywhere else', async () => {
    const feed = fakeFeed({ [`${V2}/$metadata`]: EDMX }, { url: V2 });
    expect(await protocolOf(feed)).toBe('v2');
    expect(feed.urls).toEqual([`${V2}/$metadata`]);
  });

  it('is the other one where the source shows it', async () => {
    expect(await protocolOf(fakeFeed({ [V2]: INDEX }, { url: V2 }))).toBe('v3');
    expect(await protocolOf(fakeFeed({ [`${V3}/$metadata`]: EDMX }, { url: V3 }))).toBe('v2');
  });

  it('is 2 where there is a service without metadata', async () => {
    const service = '<?xml version="1.0" encoding="utf-8"?>\n<service xmlns="http://www.w3.org/2007/app"></service>';
    expect(await protocolOf(fakeFeed({ [V2]: service }, { url: V2 }))).toBe('v2');
  });

  it('is 2 where only the metadata fails', async () => {
    const service = '<service xmlns="http://www.w3.org/2007/app"></service>';
    const feed = fakeFeed({ [`${V2}/$metadata`]: 503, [V2]: service }, { url: V2 });
    const selection = new ProviderSelection(feed);
    expect((await selection.provider()).protocol).toBe('v2');
    expect((await selection.provider()).protocol).toBe('v2');
    expect(feed.urls).toEqual([`${V2}/$metadata`, V2]);
  });

  it.each([503, 404, 401, LOGIN])('is not known where the metadata fails and its URL leads to %s', async (answer) => {
    const feed = fakeFeed({ [`${V2}/$metadata`]: 503, [V2]: answer }, { url: V2 });
    await expect(protocolOf(feed)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', statusCode: 503 });
    const unreachable = fakeFeed(
      { [`${V2}/$metadata`]: new SourceError('SOURCE_UNAVAILABLE', 'fake', 'refused') },
      { url: V2 },
    );
    await expect(protocolOf(unreachable)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(unreachable.urls).toEqual([`${V2}/$metadata`]);
  });

  it('is none where both make no sense', async () => {
    const refused = { code: 'PROTOCOL', source: 'fake' };
    await expect(protocolOf(fakeFeed({}, { url: V3 }))).rejects.toMatchObject(refused);
    await expect(protocolOf(fakeFeed({}, { url: V2 }))).rejects.toMatchObject(refused);
    const login = fakeFeed({ [V2]: LOGIN, [`${V2}/$metadata`]: LOGIN }, { url: V2 });
    await expect(protocolOf(login)).rejects.toMatchObject(refused);
  });

  it.each([V3, V2])('is said to be none because of what is there instead: %s', async (url) => {
    const wrong = new SourceError('PROTOCOL', 'fake', 'it answered with a web page');
    const feed = fakeFeed({ [url]: wrong, [`${url}/$metadata`]: wrong }, { url });
    await expect(protocolOf(feed)).rejects.toMatchObject({
      message: `fake: ${url} leads neither to a service index of protocol 3 nor to a feed of protocol 2: it answered with a web page`,
      cause: wrong,
    });
  });

  it('is what somebody said it is, without a question', async () => {
    const feed = fakeFeed({}, { url: V2 });
    expect((await new ProviderSelection(feed, { protocol: 'v3' }).provider()).protocol).toBe('v3');
    expect(feed.urls).toEqual([]);
  });

  it('is remembered, and asked for once by all who want to know', async () => {
    const feed = fakeFeed({ [V3]: INDEX }, { url: V3 });
    const selection = new ProviderSelection(feed);
    const providers = await Promise.all([selection.provider(), selection.provider()]);
    expect(new Set([...providers, await selection.provider()]).size).toBe(1);
    expect(feed.urls).toEqual([V3]);
  });

  it('is asked for again after a failure', async () => {
    const feed = fakeFeed({ [V3]: new SourceError('SOURCE_UNAVAILABLE', 'fake', 'down') }, { url: V3 });
    const selection = new ProviderSelection(feed);
    await expect(selection.provider()).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    feed.answer(V3, INDEX);
    expect((await selection.provider()).protocol).toBe('v3');
  });

  it('is waited for only as long as the caller wants', async () => {
    let aborted: Promise<void> | undefined;
    const feed = fakeFeed(
      {
        [V3]: ({ options }) =>
          new Promise((_, reject) => {
            aborted = new Promise((resolve) =>
              options.signal?.addEventListener('abort', () => {
                reject(options.signal?.reason);
                resolve();
              }),
            );
          }),
      },
      { url: V3 },
    );
    const selection = new ProviderSelection(feed);
    const controller = new AbortController();
    const waiting = selection.provider({ signal: controller.signal });
    await Promise.resolve();
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await aborted;
    feed.answer(V3, INDEX);
    expect((await selection.provider()).protocol).toBe('v3');
  });
});

describe('the protocol in which a source takes packages', () => {
  const publisherOf = async (feed: FakeFeed) => (await new ProviderSelection(feed).publisher()).protocol;

  it('is that of the source', async () => {
    expect(await publisherOf(fakeFeed({ [V3]: INDEX }, { url: V3 }))).toBe('v3');
    expect(await publisherOf(fakeFeed({ [V2]: INDEX }, { url: V2 }))).toBe('v3');
    expect(await publisherOf(fakeFeed({ [`${V2}/$metadata`]: EDMX }, { url: V2 }))).toBe('v2');
  });

  it.each([404, 401, 403])('is 2 at a URL that gives none (%i), and that is remembered', async (status) => {
    const url = `${V2}/package`;
    const feed = fakeFeed({ [`${url}/$metadata`]: status, [url]: status }, { url });
    const selection = new ProviderSelection(feed);
    expect((await selection.publisher()).protocol).toBe('v2');
    const { length } = feed.urls;
    expect((await selection.publisher()).protocol).toBe('v2');
    expect(feed.urls).toHaveLength(length);
    await expect(selection.provider()).rejects.toThrow();
  });

  it('is not known where the URL is a service index, or where the source fails', async () => {
    await expect(publisherOf(fakeFeed({ [V3]: 404 }, { url: V3 }))).rejects.toMatchObject({ code: 'PROTOCOL' });
    const failing = fakeFeed({ [`${V2}/$metadata`]: 503, [V2]: 503 }, { url: V2 });
    await expect(publisherOf(failing)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });
});
