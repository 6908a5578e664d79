import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundaryOf, FormParser } from './form-parser.js';

const BOUNDARY = 'granary-boundary';

/** What a parser finds in a form that arrives in these chunks. */
function read(chunks: readonly (Buffer | string)[]): { readonly content: Buffer; readonly isDone: boolean } {
  const parser = new FormParser(BOUNDARY);
  const found: Buffer[] = [];
  for (const chunk of chunks)
    for (const piece of parser.push(Buffer.from(chunk as string, 'latin1'))) found.push(Buffer.from(piece));
  return { content: Buffer.concat(found), isDone: parser.isDone };
}

const FILE = 'Content-Disposition: form-data; name="package"; filename="a.nupkg"';

function form(content: Buffer | string, eol = '\r\n', { header = FILE, before = '', after = '' } = {}): Buffer {
  return Buffer.concat([
    Buffer.from(`${before}--${BOUNDARY}${eol}${header}${eol}${eol}`),
    Buffer.from(content as string, 'latin1'),
    Buffer.from(`${eol}--${BOUNDARY}--${after}`),
  ]);
}

describe('a form', () => {
  it.each([
    ['with lines as they should be', form('PK content')],
    ['with bare line feeds', form('PK content', '\n')],
    ['with a line feed at its end', form('PK content', '\r\n', { after: '\n' })],
    ['with text before it', form('PK content', '\r\n', { before: 'Hello\r\n' })],
    ['with an empty line before it', form('PK content', '\r\n', { before: '\r\n' })],
    ['with text after it', form('PK content', '\r\n', { after: '\r\nthe end' })],
    ['with a type only', form('PK content', '\r\n', { header: 'Content-Type: application/octet-stream' })],
    ['with a name only', form('PK content', '\r\n', { header: 'content-disposition: form-data; name=package' })],
    [
      'with an encoded name',
      form('PK content', '\r\n', { header: "Content-Disposition: form-data; filename*=utf-8''a" }),
    ],
    ['with spaces after the delimiter', Buffer.from(`--${BOUNDARY}  \r\n${FILE}\r\n\r\nPK content\r\n--${BOUNDARY}--`)],
    ['with other fields before', Buffer.concat([field('comment', 'hi'), field('empty', ''), form('PK content')])],
    ['with two files', Buffer.concat([form('PK content').subarray(0, -2), Buffer.from('\r\n'), form('other')])],
  ])('%s has its file', (_, body) => {
    expect(read([body])).toEqual({ content: Buffer.from('PK content'), isDone: true });
    expect(read([...body].map((byte) => Buffer.from([byte])))).toEqual({
      content: Buffer.from('PK content'),
      isDone: true,
    });
  });

  it('gives every byte of the file, whatever it is and in whatever pieces it comes', () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    const nasty = fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      '-',
      '--',
      `\r\n--${BOUNDARY}`,
      `\r\n--${BOUNDARY}x`,
      `--${BOUNDARY}`,
      '\n--granary',
    );
    const content = fc
      .array(
        fc.oneof(
          bytes.map((each) => Buffer.from(each)),
          nasty.map((each) => Buffer.from(each)),
        ),
        { maxLength: 8 },
      )
      .map((parts) => Buffer.concat(parts))
      .filter((each) => !new RegExp(`\\n--${BOUNDARY}(?:[\\r\\n \\t]|--|$|-$)`).test(`\n${each.toString('latin1')}`));
    fc.assert(
      fc.property(content, fc.array(fc.nat(60), { maxLength: 30 }), (file, cuts) => {
        const body = form(file);
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(body.subarray(at, at + cut));
          at += cut;
        }
        chunks.push(body.subarray(at));
        expect(read(chunks)).toEqual({ content: file, isDone: true });
      }),
      { numRuns: 500 },
    );
  });

  it('is not done before its end', () => {
    const body = form('PK content');
    for (let length = 0; length < body.length; length++) expect(read([body.subarray(0, length)]).isDone).toBe(false);
  });

  it.each([
    ['no file', field('comment', 'hi'), `--${BOUNDARY}--`, /no file/],
    ['nothing', Buffer.alloc(0), `--${BOUNDARY}--`, /no file/],
    ['a header that is too long', Buffer.from(`--${BOUNDARY}\r\nX: ${'x'.repeat(20_000)}`), '', /too long/],
    ['too many parts', Buffer.concat(Array.from({ length: 40 }, () => field('a', 'b'))), '', /too many/],
  ])('with %s is refused', (_, body, end, message) => {
    expect(() => read([body, end])).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringMatching(message) }),
    );
  });

  it('keeps no more of a file than could begin its end', () => {
    const parser = new FormParser(BOUNDARY);
    for (const _ of parser.push(form('').subarray(0, -BOUNDARY.length - 6)));
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let i = 0; i < 10; i++) {
      let given = 0;
      for (const piece of parser.push(chunk)) given += piece.length;
      expect(given).toBeGreaterThan(chunk.length - 64);
    }
  });
});

describe('the type of a form', () => {
  it.each([
    ['multipart/form-data; boundary=abc', 'abc'],
    ['multipart/form-data; charset=x; boundary="a b;c"', 'a b;c'],
    ['multipart/form-data;BOUNDARY=abc;x=y', 'abc'],
  ])('%s names its boundary', (type, boundary) => {
    expect(boundaryOf(type)).toBe(boundary);
  });

  it.each([
    ['multipart/form-data'],
    ['multipart/form-data; boundary='],
    ['multipart/form-data; boundary=""'],
    [`multipart/form-data; boundary=${'a'.repeat(300)}`],
  ])('%s names none', (type) => {
    expect(() => boundaryOf(type)).toThrow(expect.objectContaining({ status: 400 }));
  });
});

function field(name: string, value: string): Buffer {
  return Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
}
