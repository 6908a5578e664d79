import type { ErrorBody } from '../../http/exchange.js';
import { ATOM_NAMESPACES } from './entry-document.js';
import { XmlWriter } from './xml-writer.js';

/** An error as OData clients read it. */
export function odataError(message: string): ErrorBody {
  const xml = new XmlWriter();
  xml.element('m:error', { 'xmlns:m': ATOM_NAMESPACES['xmlns:m'] }, () => {
    xml.empty('m:code');
    xml.leaf('m:message', message, { 'xml:lang': 'en-US' });
  });
  return { type: 'application/xml;charset=utf-8', text: xml.toString() };
}
