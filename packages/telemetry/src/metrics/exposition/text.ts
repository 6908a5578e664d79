/** `name="value",…`, escaped as both formats want it. */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabelValue(String(value))}"`)
    .join(',');
}

const NEEDS_ESCAPE = /[\\\n"]/;

function escapeLabelValue(value: string): string {
  return NEEDS_ESCAPE.test(value) ? escapeHelp(value).replaceAll('"', '\\"') : value;
}

/** As the text format wants it: quotes stay. */
export function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** As both formats read it. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/**
 * A bucket's bound as OpenMetrics wants it ("canonical numbers"), and as Prometheus writes such numbers itself: `1.0`,
 * `0.25`, `1e-05`, `1.048576e+06`. The text is part of a series' identity.
 */
export function canonicalNumber(value: number): string {
  if (!Number.isFinite(value)) return numberText(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** Base units that a name may end with. */
const UNITS = ['seconds', 'bytes', 'ratio', 'celsius', 'meters', 'volts', 'amperes', 'joules', 'grams'];

/** A counter's family, as OpenMetrics calls it, has no suffix; only its line has. */
export function withoutTotal(name: string): string {
  return name.endsWith('_total') ? name.slice(0, -'_total'.length) : name;
}

/** The unit that a metric's name says, before `_total`; undefined for plain counts. */
export function unitOf(name: string): string | undefined {
  const base = withoutTotal(name);
  return UNITS.find((unit) => base.endsWith(`_${unit}`));
}
