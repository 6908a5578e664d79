import { canonicalNumber, withoutTotal } from '../exposition/text.js';

export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly exemplar?: {
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
    readonly seconds: number;
  };
}

export interface ParsedFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string | undefined;
  readonly samples: readonly ParsedSample[];
}

interface OpenFamily extends ParsedFamily {
  type: string;
  help: string;
  unit: string | undefined;
  readonly samples: ParsedSample[];
}

const TYPES = {
  text: ['counter', 'gauge', 'histogram', 'summary', 'untyped'],
  openmetrics: ['counter', 'gauge', 'histogram', 'summary', 'unknown', 'info', 'stateset', 'gaugehistogram'],
} as const;

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const NUMBER = '[+-]?(?:\\d+(?:\\.\\d*)?(?:e[+-]?\\d+)?|Inf)|NaN';
const LABELS = `\\{(?:[a-zA-Z_]\\w*="(?:[^"\\\\\\n]|\\\\[\\\\n"])*"(?:,(?=[a-zA-Z_])|(?=\\})))*\\}`;
const SAMPLE = new RegExp(`^(${NAME})(${LABELS})? (${NUMBER})(?: # (${LABELS}) (${NUMBER}) (\\d+(?:\\.\\d+)?))?$`);
const COMMENT = new RegExp(`^# (HELP|TYPE|UNIT) (${NAME})(?: ([^\\n]*))?$`);

/**
 * Reads an exposition and takes nothing that the format forbids: what isn't grouped, named, typed, ordered, escaped,
 * unique and ended as it should be, histograms that don't add up, exemplars outside their bucket.
 *
 * @throws with the line that is wrong
 */
export function parseExposition(text: string, format: 'text' | 'openmetrics'): ParsedFamily[] {
  const families = new Map<string, OpenFamily>();
  const seen = new Set<string>();
  const lines = text.split('\n');
  check(lines.pop() === '', 'the end', 'there is no line feed');
  if (format === 'openmetrics') check(lines.pop() === '# EOF', 'the end', 'there is no # EOF');
  let current: OpenFamily | undefined;
  for (const [i, line] of lines.entries()) {
    const where = `line ${i + 1}: ${line}`;
    if (line.startsWith('#')) {
      const [, keyword, name = '', rest = ''] = COMMENT.exec(line) ?? fail(where, 'no known comment');
      if (current?.name !== name) {
        check(!families.has(name), where, 'the family was there before');
        current = { name, type: '', help: '', unit: undefined, samples: [] };
        families.set(name, current);
      }
      check(current.samples.length === 0, where, 'it comes after lines of its family');
      describe(current, keyword as string, rest, format, where);
      continue;
    }
    const [, name = '', labelText = '', value = '', example, exampleValue, seconds] =
      SAMPLE.exec(line) ?? fail(where, 'no sample');
    if (current === undefined) fail(where, 'it has no family');
    const labels = labelsOf(labelText, where);
    check(namesOf(current, format).includes(name), where, `it is not of ${current.name}, a ${current.type}`);
    const identity = `${name}${JSON.stringify(Object.entries(labels).sort())}`;
    check(!seen.has(identity), where, 'it was there before');
    seen.add(identity);
    const exemplar = example === undefined ? undefined : exemplarOf(example, exampleValue, seconds, where);
    const sample = { name, labels, value: numberOf(value), ...(exemplar && { exemplar }) };
    if (current.type === 'counter') check(sample.value >= 0, where, 'a counter is not negative');
    if (exemplar) {
      check(format === 'openmetrics' && /_(?:bucket|total)$/.test(name), where, 'no exemplar belongs here');
      check(exemplar.value <= numberOf(labels['le'] ?? '+Inf'), where, 'the exemplar is above its bucket');
    }
    current.samples.push(sample);
  }
  for (const family of families.values()) checkFamily(family, families, format);
  return [...families.values()];
}

function describe(family: OpenFamily, keyword: string, rest: string, format: 'text' | 'openmetrics', where: string) {
  if (keyword === 'TYPE') {
    check(family.type === '' && (TYPES[format] as readonly string[]).includes(rest), where, 'a second or unknown type');
    family.type = rest;
  } else if (keyword === 'HELP') {
    check(family.help === '', where, 'a second help');
    check(!/(?:^|[^\\])(?:\\\\)*\\[^\\n"]/.test(rest), where, 'an unknown escape');
    if (format === 'openmetrics') check(!/(?:^|[^\\])(?:\\\\)*"/.test(rest), where, 'a quote that is not escaped');
    family.help = unescaped(rest);
  } else {
    check(format === 'openmetrics' && family.unit === undefined, where, 'a second unit, or one in the text format');
    check(family.name.endsWith(`_${rest}`), where, "the unit is not in the family's name");
    family.unit = rest;
  }
}

function namesOf({ name, type }: ParsedFamily, format: 'text' | 'openmetrics'): string[] {
  if (type === 'counter') return [format === 'openmetrics' ? `${name}_total` : name];
  if (type === 'histogram') return ['_bucket', '_sum', '_count'].map((suffix) => name + suffix);
  return [name];
}

function checkFamily(
  family: ParsedFamily,
  families: ReadonlyMap<string, ParsedFamily>,
  format: 'text' | 'openmetrics',
) {
  const { name, type, help, samples } = family;
  check(type !== '' && help !== '', name, 'there is no type or no help');
  if (format === 'openmetrics' && type === 'counter') check(withoutTotal(name) === name, name, 'it ends with _total');
  for (const taken of namesOf(family, format)) {
    check(taken === name || !families.has(taken), taken, 'another family has the name of a line');
  }
  if (type !== 'histogram') return;
  const bySeries = new Map<string, ParsedSample[]>();
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels;
    const series = JSON.stringify(others);
    bySeries.set(series, [...(bySeries.get(series) ?? []), sample]);
  }
  for (const [series, parts] of bySeries) {
    const where = `${name}${series}`;
    const buckets = parts.filter((sample) => sample.name === `${name}_bucket`);
    const les = buckets.map(({ labels }) => labels['le'] ?? '');
    const bounds = les.map(numberOf);
    check(bounds.at(-1) === Infinity, where, 'the last bucket is not +Inf');
    check(
      bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] as number)),
      where,
      'bounds do not rise',
    );
    check(
      buckets.every(({ value }, i) => value >= (buckets[i - 1]?.value ?? 0)),
      where,
      'buckets are not cumulative',
    );
    if (format === 'openmetrics')
      check(
        les.every((le, i) => le === canonicalNumber(bounds[i] as number)),
        where,
        'bounds',
      );
    const count = parts.find((sample) => sample.name === `${name}_count`);
    const sum = parts.find((sample) => sample.name === `${name}_sum`);
    if (format === 'openmetrics' && (bounds[0] as number) < 0) check(!count && !sum, where, 'a sum of negative values');
    else
      check(count?.value === buckets.at(-1)?.value && sum !== undefined, where, 'the count is not that of the buckets');
  }
}

function labelsOf(text: string, where: string): Record<string, string> {
  const labels: Record<string, string> = Object.create(null);
  for (const [, name = '', value = ''] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    check(!(name in labels), where, `the label ${name} is there twice`);
    labels[name] = unescaped(value);
  }
  return { ...labels };
}

function exemplarOf(text: string, value = '', seconds = '', where: string) {
  const labels = labelsOf(text, where);
  const length = Object.entries(labels).flat().join('').length;
  check(length <= 128, where, 'the exemplar is longer than 128 characters');
  return { labels, value: numberOf(value), seconds: Number(seconds) };
}

const unescaped = (text: string) => text.replace(/\\([\\n"])/g, (_, char: string) => (char === 'n' ? '\n' : char));
const numberOf = (text: string) => Number(text.replace('Inf', 'Infinity'));

function check(isRight: boolean, where: string, what: string): asserts isRight {
  if (!isRight) fail(where, what);
}

function fail(where: string, what: string): never {
  throw new Error(`${where}: ${what}`);
}
