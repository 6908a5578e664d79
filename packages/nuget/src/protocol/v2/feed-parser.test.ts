import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isNuGetError } from '../../errors.js';
import { isListed } from './feed-entry.js';
import { parseFeed } from './feed-parser.js';

const ORIGIN = { source: 'test', url: 'https://feed.test/api/v2/FindPackagesById()?id=%27A%27' };
const ATOM = 'http://www.w3.org/2005/Atom';
const DATA = 'http://schemas.microsoft.com/ado/2007/08/dataservices';
const META = `${DATA}/metadata`;
const NAMESPACES = `xmlns="${ATOM}" xmlns:d="${DATA}" xmlns:m="${META}"`;

const parse = (text: string | Buffer, requestedId?: string) =>
  parseFeed(Buffer.from(text as string), ORIGIN, requestedId);
const feed = (content: string) => `<?xml version="1.0" encoding="utf-8"?><feed ${NAMESPACES}>${content}</feed>`;
const entry = (properties: string, more = '') =>
  `<entry><title>A</title>${more}<m:properties>${properties}</m:properties></entry>`;
const A1 = entry('<d:Version>1.0</d:Version>');

function failure(text: string | Buffer): { code: string; message: string } {
  try {
    parse(text);
  } catch (error) {
    if (isNuGetError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was read');
}

describe('a page of a feed', () => {
  it('has its entries, where the next page is, and how many there are', () => {
    const next = 'https://feed.test/api/v2/FindPackagesById()?id=%27A%27&amp;$skiptoken=2';
    const page = parse(
      feed(
        `<m:count>7</m:count><title>FindPackagesById</title>
        ${entry(
          '<d:Id>Package.A</d:Id><d:Version>1.2.3-beta</d:Version><d:Description>x &lt; y</d:Description>',
          '<author><name>Ann</name></author><author><name>Bob</name></author><summary>short</summary>' +
            '<content type="application/zip" src="https://cdn.test/a.nupkg" />',
        )}
        <link rel="self" href="x"/><link rel="NEXT" href="${next}" />`,
      ),
    );
    expect(page.count).toBe(7);
    expect(page.next).toBe('https://feed.test/api/v2/FindPackagesById()?id=%27A%27&$skiptoken=2');
    expect(page.entries).toHaveLength(1);
    const [a] = page.entries;
    expect(a).toMatchObject({
      id: 'Package.A',
      title: 'A',
      summary: 'short',
      authors: ['Ann', 'Bob'],
      contentUrl: 'https://cdn.test/a.nupkg',
    });
    expect(a?.version.toNormalizedString()).toBe('1.2.3-beta');
    expect(a?.properties.get('Description')).toBe('x < y');
  });

  it('may have any prefixes', () => {
    const text = `<x:feed xmlns:x="${ATOM}" xmlns:p="${META}"><x:entry><x:title>A</x:title><p:properties
      xmlns:q="${DATA}"><q:Version>2.0</q:Version><Tags xmlns="${DATA}">t</Tags><Tags>no</Tags></p:properties>
      </x:entry><x:link rel="next" href="https://feed.test/2"/></x:feed>`;
    const page = parse(text);
    expect(page.next).toBe('https://feed.test/2');
    expect(page.entries[0]?.version.toNormalizedString()).toBe('2.0.0');
    expect(page.entries[0]?.properties.get('Tags')).toBe('t');
  });

  it('passes over elements of the same names in other namespaces', () => {
    const page = parse(
      feed(`<d:entry/><entry xmlns="urn:other"/>${A1}<d:link rel="next" href="https://feed.test/2"/>`),
    );
    expect(page.entries).toHaveLength(1);
    expect(page.next).toBeUndefined();
  });

  it('resolves links against the nearest xml:base, and against its own URL without one', () => {
    const content = '<content src="package/A/1.0"/>';
    const text = (base: string, inner: string) =>
      `<feed ${base} ${NAMESPACES}><entry ${inner}>${content}<title>A</title><m:properties><d:Version>1.0</d:Version>` +
      '</m:properties></entry><link rel="next" href="page2"/></feed>';
    const based = parse(text('xml:base="https://other.test/nuget/"', 'xml:base="deeper/"'));
    expect(based.entries[0]?.contentUrl).toBe('https://other.test/nuget/deeper/package/A/1.0');
    expect(based.next).toBe('https://other.test/nuget/page2');
    const bare = parse(text('', ''));
    expect(bare.entries[0]?.contentUrl).toBe('https://feed.test/api/v2/package/A/1.0');
    expect(bare.next).toBe('https://feed.test/api/v2/page2');
  });

  it('may be a single entry', () => {
    const page = parse(
      `<entry ${NAMESPACES}><title>A</title><m:properties><d:Version>1.0</d:Version></m:properties></entry>`,
    );
    expect(page.entries.map(({ id }) => id)).toEqual(['A']);
    expect(page.next).toBeUndefined();
  });

  it('may have properties within the content', () => {
    const page = parse(
      feed(
        '<entry><title>A</title><content type="application/xml"><m:properties><d:Version>3</d:Version></m:properties></content></entry>',
      ),
    );
    expect(page.entries[0]?.version.toNormalizedString()).toBe('3.0.0');
  });

  it('takes the id that was asked for where an entry says none', () => {
    const text = feed('<entry><m:properties><d:NormalizedVersion>1.0</d:NormalizedVersion></m:properties></entry>');
    expect(parse(text, 'Wanted').entries[0]?.id).toBe('Wanted');
    expect(failure(text).code).toBe('PROTOCOL');
  });

  it('has no property that is null or empty', () => {
    const page = parse(
      feed(
        entry(
          '<d:Version>1.0</d:Version><d:Tags m:null="true"/><d:Summary></d:Summary><d:Title m:null="false">T</d:Title>',
        ),
      ),
    );
    expect([...(page.entries[0]?.properties.keys() ?? [])]).toEqual(['Version', 'Title']);
  });

  it('joins the pieces of a text: sections, references and elements in it', () => {
    const page = parse(
      feed(entry('<d:Version>1.0</d:Version><d:Description>a<![CDATA[<b>]]>&#99;<x>d</x></d:Description>')),
    );
    expect(page.entries[0]?.properties.get('Description')).toBe('a<b>cd');
  });

  it('is without the entries whose version is none', () => {
    const page = parse(feed(entry('<d:Version>v1.0</d:Version>') + A1 + entry('<d:Version>1.2.3.4.5</d:Version>')));
    expect(page.entries.map(({ version }) => version.toString())).toEqual(['1.0']);
    expect(page.skipped).toBe(2);
  });

  it('may have no entry', () => {
    expect(parse(feed(''))).toEqual({ entries: [], next: undefined, count: undefined, skipped: 0 });
  });

  it('is read in the encoding that its mark or declaration names', () => {
    const text = `<feed ${NAMESPACES}>${entry('<d:Version>1.0</d:Version><d:Authors>Zoë</d:Authors>')}</feed>`;
    const little = Buffer.from(`\ufeff${text}`, 'utf16le');
    const latin = Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?>${text}`, 'latin1');
    const marked = Buffer.from(`\ufeff${text}`);
    const unmarked = Buffer.from(`<?xml version="1.0" encoding="utf-16"?>${text}`, 'utf16le');
    const wide = [little, unmarked].flatMap((bytes) => [bytes, Buffer.from(bytes).swap16()]);
    for (const bytes of [...wide, latin, marked]) {
      expect(parse(bytes).entries[0]?.properties.get('Authors')).toBe('Zoë');
    }
  });

  it('brings every text through, wherever it lies in the document', () => {
    const text = fc
      .string({ unit: 'grapheme', maxLength: 40 })
      .filter((some) => /^[^\p{Cc}\p{Cs}\ufffe\uffff]+$/u.test(some));
    const escaped = (some: string) => some.replace(/[<>&]/g, (character) => `&#${character.charCodeAt(0)};`);
    fc.assert(
      fc.property(text, fc.integer({ min: 65_300, max: 65_540 }), (some, padding) => {
        const page = parse(
          feed(
            `<!--${' '.repeat(padding)}-->${entry(`<d:Version>1.0</d:Version><d:Title>${escaped(some)}</d:Title>`)}`,
          ),
        );
        expect(page.entries[0]?.properties.get('Title')).toBe(some);
      }),
    );
  });
});

describe('what is no page of a feed', () => {
  it.each([
    ['a page to log in', '<!DOCTYPE html><html><body>Log in</body></html>', /HTML/],
    ['a page without a type', '<html><body>Log in</body></html>', /HTML/],
    ['nothing', '', /root/],
    ['JSON', '{"versions":[]}', /no answer/],
    ['another document', '<service xmlns="http://www.w3.org/2007/app"/>', /<service>/],
    ['a feed without a namespace', '<feed/>', /<feed>/],
    ['a truncated document', feed(A1).slice(0, -20), /unclosed/],
    ['half of a tag', feed(A1).slice(0, 300), /./],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('<feed>'), Buffer.from([0xff, 0xff])]), /encoded/],
    ['an encoding that nobody knows', '<?xml version="1.0" encoding="x-nothing"?><feed/>', /x-nothing/],
    ['an entry without a version', feed('<entry><title>A</title></entry>'), /A undefined/],
    ['a next page that is a file', feed('<link rel="next" href="file:///etc/passwd"/>'), /next page/],
    ['a next page that is a script', feed('<link rel="next" href="javascript:1"/>'), /next page/],
  ])('refuses %s', (_name, text, message) => {
    expect(failure(text)).toEqual({ code: 'PROTOCOL', message: expect.stringMatching(message) });
  });

  it('refuses document types, and thus entities, of whatever kind', () => {
    const external = '<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]>';
    const laughs = '<!DOCTYPE feed [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>';
    for (const type of [external, laughs]) {
      expect(failure(`${type}<feed ${NAMESPACES}>${entry('<d:Version>&x;</d:Version>')}</feed>`)).toEqual({
        code: 'PROTOCOL',
        message: expect.stringContaining('document type'),
      });
    }
    expect(failure(feed(entry('<d:Version>&x;</d:Version>'))).code).toBe('PROTOCOL');
  });

  it('says where it comes from, without what was asked', () => {
    expect(failure('{}').message).toMatch(/^test: https:\/\/feed\.test\/api\/v2\/FindPackagesById\(\) is no answer/);
  });

  it.each([
    ['too deep', feed(`${'<x>'.repeat(70)}${'</x>'.repeat(70)}`)],
    [
      'too long a text',
      feed(entry(`<d:Version>1.0</d:Version><d:Description>${'x'.repeat(1024 * 1024 + 1)}</d:Description>`)),
    ],
    ['too many entries', feed(A1.repeat(20_001))],
    ['too many properties', feed(entry(Array.from({ length: 201 }, (_, i) => `<d:P${i}>x</d:P${i}>`).join('')))],
  ])('refuses what is %s', (_name, text) => {
    expect(failure(text).code).toBe('LIMIT');
  });
});

describe('a listed version', () => {
  const listed = (properties: string) =>
    isListed(parse(feed(entry(`<d:Version>1.0</d:Version>${properties}`))).entries[0]!);

  it('was not published in 1900, and is not said to be unlisted', () => {
    expect(listed('')).toBe(true);
    expect(listed('<d:Published>2020-01-02T03:04:05.678</d:Published>')).toBe(true);
    expect(listed('<d:Published>1900-01-01T00:00:00</d:Published>')).toBe(false);
    expect(listed('<d:Published>1900-01-01T00:00:00+00:00</d:Published>')).toBe(false);
    expect(listed('<d:Published>1900-01-01T00:00:00.000+0000</d:Published>')).toBe(false);
    expect(listed('<d:Published>yesterday</d:Published><d:Listed>True</d:Listed>')).toBe(true);
    expect(listed('<d:Published>2020-01-02T03:04:05</d:Published><d:Listed>false</d:Listed>')).toBe(false);
  });
});
