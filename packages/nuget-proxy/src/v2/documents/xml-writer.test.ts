import { describe, expect, it } from 'vitest';
import { XmlWriter } from './xml-writer.js';

const HEAD = '<?xml version="1.0" encoding="utf-8"?>\n';

const leaf = (text: string) => new XmlWriter().leaf('a', text).toString().slice(HEAD.length);
const attribute = (value: string) => new XmlWriter().empty('a', { b: value }).toString().slice(HEAD.length);

describe('a text', () => {
  it('has what means something in XML escaped', () => {
    expect(leaf('<b a="1">&amp;</b>')).toBe('<a>&lt;b a="1"&gt;&amp;amp;&lt;/b&gt;</a>');
    expect(leaf(']]>')).toBe('<a>]]&gt;</a>');
  });

  it('keeps its line ends, which readers would change', () => {
    expect(leaf('a\r\nb\tc')).toBe('<a>a&#13;\nb\tc</a>');
  });

  it('loses what XML has no way to write', () => {
    expect(leaf('a\u0000\u0001\u0008\u000b\u000c\u001f\ufffe\uffffb')).toBe('<a>ab</a>');
    expect(leaf('a\ud800b\udc00c')).toBe('<a>abc</a>');
  });

  it('keeps characters of two halves, and all that are merely odd', () => {
    expect(leaf('😀 \u0085\u2028é\u007f')).toBe('<a>😀 \u0085\u2028é\u007f</a>');
  });
});

describe('an attribute', () => {
  it('has quotes and blanks escaped, too', () => {
    expect(attribute('"a"\t\n\r<&>\u0000')).toBe('<a b="&quot;a&quot;&#9;&#10;&#13;&lt;&amp;&gt;" />');
  });

  it('is left out when it is undefined', () => {
    expect(new XmlWriter().empty('a', { b: undefined, c: '' }).toString()).toBe(`${HEAD}<a c="" />`);
  });
});

it('nests elements', () => {
  const xml = new XmlWriter();
  xml.element('a', { b: '1' }, () => xml.element('c', {}, () => xml.leaf('d', 'e')));
  expect(xml.toString()).toBe(`${HEAD}<a b="1"><c><d>e</d></c></a>`);
});
