import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { RenderedDocuments } from './rendered-documents.js';

const text = (content: string) => () => Buffer.from(content);

describe('rendered documents', () => {
  it('are written once for as long as a feed gives the same value', () => {
    const documents = new RenderedDocuments(1_000_000);
    const value = {};
    const render = vi.fn(text('{}'));
    const first = documents.take('/a', value, render);
    expect(documents.take('/a', value, render)).toBe(first);
    expect(render).toHaveBeenCalledTimes(1);
    documents.take('/b', value, render);
    expect(render).toHaveBeenCalledTimes(2);
  });

  it('are compressed once for as long as they come out the same', async () => {
    const documents = new RenderedDocuments(1_000_000);
    const first = documents.take('/a', {}, text('same'));
    await first!.bytes('br');
    const again = documents.take('/a', {}, text('same'));
    expect(again).toBe(first);
    expect(again!.bytes('br')).toBeInstanceOf(Buffer);
    expect(documents.take('/a', {}, text('other'))).not.toBe(first);
  });

  it('are dropped when there is none any more', () => {
    const documents = new RenderedDocuments(1_000_000);
    documents.take('/a', {}, text('it'));
    expect(documents.bytes).toBeGreaterThan(0);
    expect(documents.take('/a', {}, () => undefined)).toBeUndefined();
    expect(documents.bytes).toBe(0);
  });

  it('take no more memory than they may, and keep those that were asked for last', async () => {
    const documents = new RenderedDocuments(10_000);
    const values = [{}, {}, {}, {}];
    for (const [i, value] of values.entries()) documents.take(`/${i}`, value, () => Buffer.alloc(2500, i));
    expect(documents.bytes).toBeLessThanOrEqual(10_000);
    const render = vi.fn(text('new'));
    documents.take('/3', values[3]!, render);
    documents.take('/2', values[2]!, render);
    expect(render).not.toHaveBeenCalled();
    documents.take('/0', values[0]!, render);
    expect(render).toHaveBeenCalledTimes(1);
  });

  it('that are larger than all of it are given, but not kept', async () => {
    const documents = new RenderedDocuments(1000);
    const document = documents.take('/a', {}, () => Buffer.alloc(5000, 'a'));
    expect(documents.bytes).toBe(0);
    expect(gunzipSync(await document!.bytes('gzip')).length).toBe(5000);
    expect(documents.bytes).toBe(0);
  });

  it('count what they are compressed to, too', async () => {
    const documents = new RenderedDocuments(100_000);
    const document = documents.take('/a', {}, text('x'.repeat(100)))!;
    const before = documents.bytes;
    const gzipped = await document.bytes('gzip');
    expect(documents.bytes).toBe(before + gzipped.length);
  });

  it('have a tag of their own in each coding, and the same for the same bytes', async () => {
    const [one, same, other] = ['a', 'a', 'b'].map((content, i) => {
      return new RenderedDocuments(10_000).take(`/${i}`, {}, text(content))!;
    });
    const tags = (['identity', 'gzip', 'br'] as const).map((coding) => one!.etag(coding));
    expect(new Set(tags).size).toBe(3);
    for (const tag of tags) expect(tag).toMatch(/^"[\w-]+"$/);
    expect(same!.etag('br')).toBe(one!.etag('br'));
    expect(other!.etag('br')).not.toBe(one!.etag('br'));
    expect(brotliDecompressSync(await one!.bytes('br')).toString()).toBe('a');
  });

  it('are compressed once for all who ask at the same time', async () => {
    const document = new RenderedDocuments(10_000).take('/a', {}, text('it'))!;
    expect(document.bytes('gzip')).toBe(document.bytes('gzip'));
    expect(await document.bytes('gzip')).toBe(document.bytes('gzip'));
  });
});
