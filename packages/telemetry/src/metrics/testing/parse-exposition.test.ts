import { describe, expect, it } from 'vitest';
import { parseExposition } from './parse-exposition.js';

const COUNTER = '# TYPE a counter\n# HELP a A.\n';
const HISTOGRAM = '# TYPE h histogram\n# HELP h H.\n';
const ID = `trace_id="${'a'.repeat(32)}"`;

describe('the strict reader', () => {
  it.each([
    ['no end', `${COUNTER}a_total 1\n`],
    ['no line feed', `${COUNTER}a_total 1\n# EOF`],
    ['an empty line', `${COUNTER}\na_total 1\n# EOF\n`],
    ['another comment', `# hello\n${COUNTER}# EOF\n`],
    ['no type', '# HELP a A.\na 1\n# EOF\n'],
    ['no help', '# TYPE a counter\n# EOF\n'],
    ['a sample of no family', 'a_total 1\n# EOF\n'],
    ['a counter without suffix', `${COUNTER}a 1\n# EOF\n`],
    ['a family with suffix', '# TYPE a_total counter\n# HELP a_total A.\n# EOF\n'],
    ['a negative counter', `${COUNTER}a_total -1\n# EOF\n`],
    ['the same series twice', `${COUNTER}a_total 1\na_total 1\n# EOF\n`],
    ['a label twice', `${COUNTER}a_total{x="1",x="2"} 1\n# EOF\n`],
    ['a comma too many', `${COUNTER}a_total{x="1",} 1\n# EOF\n`],
    ['an unknown escape', `${COUNTER}a_total{x="\\t"} 1\n# EOF\n`],
    ['a quote in help', '# TYPE a counter\n# HELP a "A".\na_total 1\n# EOF\n'],
    ['two types', `${COUNTER}# TYPE a counter\n# EOF\n`],
    ['an unknown type', '# TYPE a count\n# HELP a A.\n# EOF\n'],
    ['a type behind its samples', `${COUNTER}a_total 1\n# UNIT a a\n# EOF\n`],
    ['a family in two pieces', `${COUNTER}${HISTOGRAM}# TYPE a counter\n# EOF\n`],
    ['a unit that is not in the name', '# TYPE a counter\n# UNIT a bytes\n# HELP a A.\n# EOF\n'],
    ['a name that is taken', `${COUNTER}# TYPE a_total gauge\n# HELP a_total A.\n# EOF\n`],
    ['no last bucket', `${HISTOGRAM}h_bucket{le="1.0"} 1\nh_sum 1\nh_count 1\n# EOF\n`],
    ['a count that is not the buckets', `${HISTOGRAM}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n# EOF\n`],
    ['buckets that fall', `${HISTOGRAM}h_bucket{le="1.0"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# EOF\n`],
    [
      'bounds that fall',
      `${HISTOGRAM}h_bucket{le="2.0"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# EOF\n`,
    ],
    ['bounds in other words', `${HISTOGRAM}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# EOF\n`],
    [
      'an exemplar above its bucket',
      `${HISTOGRAM}h_bucket{le="1.0"} 1 # {${ID}} 2 1.5\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# EOF\n`,
    ],
    ['an exemplar on a sum', `${HISTOGRAM}h_bucket{le="+Inf"} 1\nh_sum 1 # {${ID}} 1 1.5\nh_count 1\n# EOF\n`],
    ['a long exemplar', `${COUNTER}a_total 1 # {x="${'a'.repeat(128)}"} 1 1.5\n# EOF\n`],
  ])('refuses %s', (_, text) => {
    expect(() => parseExposition(text, 'openmetrics')).toThrow();
  });

  it('takes what is right', () => {
    expect(parseExposition(`${COUNTER}a_total{x="\\"\\\\\\n"} 1 # {${ID}} 1 1.5\n# EOF\n`, 'openmetrics')).toEqual([
      {
        name: 'a',
        type: 'counter',
        help: 'A.',
        unit: undefined,
        samples: [
          {
            name: 'a_total',
            labels: { x: '"\\\n' },
            value: 1,
            exemplar: { labels: { trace_id: 'a'.repeat(32) }, value: 1, seconds: 1.5 },
          },
        ],
      },
    ]);
  });

  it('refuses in the text format what only OpenMetrics has', () => {
    expect(() => parseExposition('# TYPE a unknown\n# HELP a A.\na 1\n', 'text')).toThrow();
    expect(() =>
      parseExposition(`# TYPE a_total counter\n# HELP a_total A.\na_total 1 # {${ID}} 1 1\n`, 'text'),
    ).toThrow();
  });
});
