import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTemplate, renderTemplate, TemplateCache } from './message-template.js';

const render = (text: string, ...values: unknown[]) => renderTemplate(parseTemplate(text), values);

describe('a message template', () => {
  it.each([
    ['Stored {Digest} in {Elapsed} ms', ['abc', 12.345], 'Stored abc in 12.345 ms'],
    ['{Elapsed:F1} ms', [12.345], '12.3 ms'],
    ['{Elapsed:F} ms', [12.345], '12.35 ms'],
    ['{Count:N0} blobs', [1234567], '1,234,567 blobs'],
    ['{Count:N1} blobs', [-1234567.89], '-1,234,567.9 blobs'],
    ['{Rate:P1}', [0.5], '50.0%'],
    ['{Id:D5}', [-42], '-00042'],
    ['{Id:X4}', [255], '00FF'],
    ['{Name:F1}', ['text'], 'text'],
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
    expect(parseTemplate('{A} {@B:F1} {$C}').holes).toEqual([
      { name: 'A', structured: false, width: 0, format: undefined },
      { name: 'B', structured: true, width: 0, format: { letter: 'F', digits: 1 } },
      { name: 'C', structured: false, width: 0, format: undefined },
    ]);
  });

  it('takes any text, and gives back text without braces as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('{', '}', '@', ':', ',', 'a', '1', ' ') }), (text) => {
        const message = render(text, 1, 'two');
        if (!/[{}]/.test(text)) expect(message).toBe(text);
      }),
    );
  });

  it('is parsed once, while the cache stays bounded', () => {
    const cache = new TemplateCache();
    expect(cache.get('{A}')).toBe(cache.get('{A}'));
    for (let i = 0; i < 2000; i++) cache.get(`${i} {A}`);
    expect(cache.get('1999 {A}')).not.toBe(cache.get('1999 {A}'));
    expect(cache.get('1999 {A}').text).toBe('1999 {A}');
  });
});
