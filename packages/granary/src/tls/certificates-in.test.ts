import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { certificate } from '../testing/test-server.js';
import { mistakeInCertificates } from './certificates-in.js';

const pem = (name: string) => readFileSync(certificate(name), 'latin1');
const one = pem('ca.pem');
const other = pem('server.pem');
const cut = other.slice(0, other.length / 2);

describe('a file of certificates', () => {
  it.each([
    ['one', one],
    ['two', one + other],
    ['text around them', `an authority\n${one}another\n${other}`],
    ['line ends of Windows', one.replaceAll('\n', '\r\n')],
    ['a key beside it', pem('server.key') + one],
  ])('may hold %s', (_, text) => {
    expect(mistakeInCertificates(text)).toBeUndefined();
  });

  it.each([
    ['nothing', '', 'holds no certificate in PEM'],
    ['only a key', pem('server.key'), 'holds no certificate in PEM'],
    ['what the TLS layer would pass over', `\ufeff${one}`, 'holds no certificate in PEM'],
    ['one that is cut off', cut, "its certificate 1 can't be read"],
    ['a second one that is cut off', one + cut, "its certificate 2 can't be read"],
    ['one that is garbled', one + other.replace(/^[\w+/]{9}/m, 'AAAAAAAAA'), "its certificate 2 can't be read"],
    ['two on one line', one.trimEnd() + other, "its certificate 1 can't be read"],
  ])('is refused with %s', (_, text, expected) => {
    expect(mistakeInCertificates(text)).toContain(expected);
  });
});
