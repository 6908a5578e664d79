import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SpanContext } from '../tracer.js';
import { b3Propagation } from './b3-propagation.js';
import type { TracePropagation } from './propagation.js';
import { w3cPropagation } from './w3c-propagation.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

const hex = (digits: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: digits, maxLength: digits })
    .map((each) => each.join(''))
    .filter((id) => !/^0+$/.test(id));

const contexts = fc.record({ traceId: hex(32), spanId: hex(16), sampled: fc.boolean() });

function extract(propagation: TracePropagation, headers: Readonly<Record<string, string>>) {
  return propagation.extract((name) => headers[name]);
}

function inject(propagation: TracePropagation, context: SpanContext): Record<string, string> {
  const headers: Record<string, string> = {};
  propagation.inject(context, (name, value) => {
    headers[name] = value;
  });
  return headers;
}

describe.each([
  ['W3C', w3cPropagation],
  ['B3', b3Propagation],
])('%s', (_name, propagation) => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(contexts, (context) => {
        expect(extract(propagation, inject(propagation, context))).toEqual(context);
      }),
    );
  });

  it('answers whatever comes, and never with an id that is none', () => {
    const pieces = fc.constantFrom('-', '00', 'ff', TRACE, SPAN, '01', '1', 'd', '0', 'A', ' ', '\u0000', '=');
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 9 }).map((each) => each.join('')),
    );
    const names = ['traceparent', 'tracestate', 'b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-flags'];
    const headers = fc.record(Object.fromEntries(names.map((name) => [name, text])), { requiredKeys: [] });
    fc.assert(
      fc.property(headers, (each) => {
        const found = extract(propagation, each as Record<string, string>);
        if (found === undefined || typeof found === 'string') return;
        expect(found.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
        expect(found.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
        expect(found.traceState ?? '').not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('traceparent', () => {
  it.each([
    ['00', '01', true],
    ['00', '00', false],
    ['00', '03', true],
    ['00', 'fe', false],
    ['cc', '01', true],
  ])('of version %s with flags %s is read', (version, flags, sampled) => {
    const found = extract(w3cPropagation, { traceparent: `${version}-${TRACE}-${SPAN}-${flags}` });
    expect(found).toEqual({ traceId: TRACE, spanId: SPAN, sampled, traceState: undefined });
  });

  it('of a later version may go on behind another dash', () => {
    const later = `cc-${TRACE}-${SPAN}-01`;
    expect(extract(w3cPropagation, { traceparent: `${later}-what-the-future-will-be-like` })).toBeDefined();
    expect(extract(w3cPropagation, { traceparent: `${later}.what-the-future-will-not-be-like` })).toBeUndefined();
  });

  it.each([
    ['nothing', ''],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['a version in upper case', `0A-${TRACE}-${SPAN}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['a trace id in upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a span id in upper case', `00-${TRACE}-${SPAN.toUpperCase()}-01`],
    ['flags in upper case', `00-${TRACE}-${SPAN}-0A`],
    ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a long span id', `00-${TRACE}-${SPAN}0-01`],
    ['no flags', `00-${TRACE}-${SPAN}-`],
    ['something behind version 00', `00-${TRACE}-${SPAN}-01-more`],
    ['two headers in one', `00-${TRACE}-${SPAN}-01,00-${TRACE}-${SPAN}-01`],
    ['another separator behind the version', `00_${TRACE}-${SPAN}-01`],
    ['another separator behind the trace id', `00-${TRACE}_${SPAN}-01`],
    ['another separator behind the span id', `00-${TRACE}-${SPAN}_01`],
    ['a space in front', ` 00-${TRACE}-${SPAN}-01`],
  ])('with %s is as good as none', (_what, traceparent) => {
    expect(extract(w3cPropagation, { traceparent, tracestate: 'a=1' })).toBeUndefined();
  });
});

describe('tracestate', () => {
  const traceparent = `00-${TRACE}-${SPAN}-01`;
  const stateOf = (tracestate: string) => {
    const found = extract(w3cPropagation, { traceparent, tracestate });
    return typeof found === 'object' ? found.traceState : 'no context';
  };
  const members = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=v`).join(',');

  it.each([
    'congo=t61rcWkgMzE',
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
    'fw529a3039@dt=FfDhSkZ7TgM',
    '0tenant@vendor=1',
    'a=1 , b=2',
    ' \ta=1 \t , \t b=2\t ',
    'a=1,,b=2',
    'key_-*/=with spaces inside',
    members(32),
  ])('goes on as it came: %s', (tracestate) => {
    expect(stateOf(tracestate)).toBe(tracestate);
    const context = { traceId: TRACE, spanId: SPAN, sampled: true, traceState: tracestate };
    expect(inject(w3cPropagation, context)).toEqual({ traceparent, tracestate });
  });

  it.each(
    [
      ['', 'is empty'],
      [members(33), 'has more than 32 members'],
      ['Upper=1', 'has a key in upper case'],
      ['0digit=1', 'has a key that begins with a digit'],
      ['a@b@c=1', 'has a key with two tenants'],
      ['a=1=2', 'has two values'],
      ['a', 'has no value'],
      ['a=1,Upper=2,c=3', 'has a broken member beside others'],
      ['a=\u00e9', 'is not ASCII'],
      [`a=1\r\nx-evil: 1`, 'would begin another header'],
      [`a=${'v'.repeat(257)}`, 'has a long value'],
      [Array.from({ length: 20 }, (_, i) => `k${i}=${'v'.repeat(250)}`).join(), 'is very long'],
      [`a=1${','.repeat(5000)}`, 'is nearly nothing but commas'],
    ].map(([tracestate = '', why]) => [why, tracestate]),
  )('is left behind, but not the trace, when it %s', (_why, tracestate = '') => {
    expect(stateOf(tracestate)).toBeUndefined();
  });

  it('is no header where there is none', () => {
    const context = { traceId: TRACE, spanId: SPAN, sampled: true };
    expect(inject(w3cPropagation, context)).toStrictEqual({ traceparent });
    expect(inject(w3cPropagation, { ...context, traceState: '' })).toStrictEqual({ traceparent });
  });

  it('is read in no time, however many spaces are in it', () => {
    const spaces = `a=b${' '.repeat(4090)}c`;
    const begun = performance.now();
    for (let i = 0; i < 200; i++) expect(stateOf(spaces)).toBeUndefined();
    expect(performance.now() - begun).toBeLessThan(500);
  });
});

describe('b3', () => {
  const ids = { traceId: TRACE, spanId: SPAN };
  const padded = { traceId: `0000000000000000${SPAN}`, spanId: SPAN };

  it.each([
    [`${TRACE}-${SPAN}-1`, { ...ids, sampled: true }],
    [`${TRACE}-${SPAN}-0`, { ...ids, sampled: false }],
    [`${TRACE}-${SPAN}-d`, { ...ids, sampled: true, debug: true }],
    [`${TRACE}-${SPAN}`, { ...ids, sampled: undefined }],
    [`${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90`, { ...ids, sampled: true }],
    [`${SPAN}-${SPAN}-1`, { ...padded, sampled: true }],
    ['0', 'unsampled'],
    ['1', 'sampled'],
    ['d', 'debug'],
  ])('is read from %s', (b3, expected) => expect(extract(b3Propagation, { b3 })).toEqual(expected));

  it.each([
    '',
    '2',
    'D',
    'true',
    '1-',
    '0-1',
    TRACE,
    `${TRACE}-${SPAN}-2`,
    `${TRACE}-${SPAN}-true`,
    `${TRACE.toUpperCase()}-${SPAN}-1`,
    `${'0'.repeat(32)}-${SPAN}-1`,
    `${TRACE}-${'0'.repeat(16)}-1`,
    `${TRACE}-${SPAN}-1-nothex`,
    `${TRACE}-${SPAN}-1-${SPAN}-more`,
    `${TRACE.slice(8)}-${SPAN}-1`,
  ])('is as good as none: "%s"', (b3) => expect(extract(b3Propagation, { b3 })).toBeUndefined());

  const many = { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN };
  it.each([
    [
      { ...many, 'x-b3-sampled': '1' },
      { ...ids, sampled: true },
    ],
    [
      { ...many, 'x-b3-sampled': 'True' },
      { ...ids, sampled: true },
    ],
    [
      { ...many, 'x-b3-sampled': '0', 'x-b3-parentspanid': SPAN },
      { ...ids, sampled: false },
    ],
    [
      { ...many, 'x-b3-flags': '1' },
      { ...ids, sampled: true, debug: true },
    ],
    [many, { ...ids, sampled: undefined }],
    [
      { 'x-b3-traceid': SPAN, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' },
      { ...padded, sampled: true },
    ],
    [{ 'x-b3-sampled': '0' }, 'unsampled'],
    [{ 'x-b3-sampled': 'FALSE' }, 'unsampled'],
    [{ 'x-b3-sampled': '1' }, 'sampled'],
    [{ 'x-b3-sampled': 'true' }, 'sampled'],
    [{ 'x-b3-flags': '1' }, 'debug'],
    [{ 'x-b3-flags': '1', 'x-b3-sampled': '0' }, 'debug'],
    [{ 'x-b3-flags': '0' }, undefined],
    [{ 'x-b3-flags': '0', 'x-b3-sampled': '1' }, 'sampled'],
    [{ 'x-b3-sampled': 'yes' }, undefined],
    [{ b3: '0', 'x-b3-flags': '1' }, 'unsampled'],
    [{ b3: '1', ...many, 'x-b3-sampled': '0' }, 'sampled'],
    [{ 'x-b3-traceid': TRACE }, undefined],
    [{ 'x-b3-traceid': TRACE, 'x-b3-sampled': '1' }, undefined],
    [{ ...many, b3: 'broken' }, undefined],
  ])('is read from many headers: %j', (headers, expected) => {
    expect(extract(b3Propagation, headers)).toEqual(expected);
  });

  it('is written as one header, the debug flag too', () => {
    expect(inject(b3Propagation, { ...ids, sampled: true, traceState: 'a=1' })).toEqual({ b3: `${TRACE}-${SPAN}-1` });
    expect(inject(b3Propagation, { ...ids, sampled: true, debug: true })).toEqual({ b3: `${TRACE}-${SPAN}-d` });
    expect(inject(b3Propagation, { ...ids, sampled: false })).toEqual({ b3: `${TRACE}-${SPAN}-0` });
  });
});
