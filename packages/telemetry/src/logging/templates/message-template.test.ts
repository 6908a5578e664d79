import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTemplate, renderTemplate } from './message-template.js';
import { TemplateCache } from './template-cache.js';

const render = (text: string, ...values: unknown[]) => renderTemplate(parseTemplate(text), values, values);

describe('a message template', () => {
  it.each([
    ['Stored {Digest} in {Elapsed} ms', ['abc', 12.345], 'Stored abc in 12.345 ms'],
    ['{Elapsed:F1} ms', [12.345], '12.3 ms'],
    ['{Elapsed:F} ms', [12.345], '12.35 ms'],
    ['{Count:N0} blobs', [1234567], '1,234,567 blobs'],
    ['{Count:N1} blobs', [-1234567.89], '-1,234,567.9 blobs'],
    ['{Rate:P1}', [0.5], '50.0%'],
    [
      '{Count:N0} {Count:F1} {Count:P0}',
      [1e21, -1e22, 1e20],
      `1${',000'.repeat(7)} -1${'0'.repeat(22)}.0 1${'0'.repeat(22)}%`,
    ],
    ['{Id:D5}', [-42], '-00042'],
    ['{Id:X4}', [255], '00FF'],
    ['{Elapsed:0.0000} ms', [12.34], '12.3400 ms'],
    ['[{Elapsed,8:0.00}]', [1.005], '[    1.01]'],
    ['{Name:F1}', ['text'], 'text'],
    ['{Name:0.0} {Rate:0.0}', ['text', Number.NaN], 'text NaN'],
    ['{Count:what?}', [3], '3'],
    ['[{Name,6}|{Name,-6}]', ['ab', 'cd'], '[    ab|cd    ]'],
    ['{{not a hole}} but {This} is', ['it'], '{not a hole} but it is'],
    ['{{{Name}}}', ['x'], '{x}'],
    ['{@Object} {Flag} {Nothing}', [{ a: [1] }, true, null], '{"a":[1]} true null'],
    ['{Here} {Missing}', [1], '1 {Missing}'],
    ['no holes', [1, 2], 'no holes'],
    ['{ not a name } {} {a-b} {', [1], '{ not a name } {} {a-b} {'],
    ['', [], ''],
  ])('renders %j', (text, values, expected) => {
    expect(render(text, ...values)).toBe(expected);
  });

  it('names its holes and knows which of them keep structure', () => {
    expect(parseTemplate('{A} {@B:F1} {$C,-5}').holes).toMatchObject([
      { name: 'A', operator: '', index: 0, width: 0, format: undefined },
      { name: 'B', operator: '@', index: 1, width: 0, format: expect.any(Function) },
      { name: 'C', operator: '$', index: 2, width: -5, format: undefined },
    ]);
  });

  it('lets holes that are all numbers say which argument they show', () => {
    expect(parseTemplate('{1} and {0}')).toMatchObject({ arity: 2, holes: [{ index: 1 }, { index: 0 }] });
    expect(parseTemplate('{5} {Name}')).toMatchObject({ arity: 2, holes: [{ index: 0 }, { index: 1 }] });
  });

  it('takes any text, and gives back text without braces as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('{', '}', '@', ':', ',', 'a', '1', ' ') }), (text) => {
        const message = render(text, 1, 'two');
        if (!/[{}]/.test(text)) expect(message).toBe(text);
      }),
    );
  });

  it('is parsed once, and again only when hundreds of others came after it', () => {
    const cache = new TemplateCache();
    const known = cache.get('{A}');
    for (let i = 0; i < 5000; i++) {
      cache.get(`${i} {A}`);
      if (i % 400 === 0) expect(cache.get('{A}')).toBe(known);
    }
    const first = cache.get('0 {A}');
    expect(first.text).toBe('0 {A}');
    expect(cache.get('0 {A}')).toBe(first);
  });

  it('is not kept when it is as long as no constant is', () => {
    const cache = new TemplateCache();
    const long = `${'x'.repeat(3000)} {A}`;
    expect(cache.get(long)).not.toBe(cache.get(long));
  });
});
