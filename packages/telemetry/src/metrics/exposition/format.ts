/** How metrics are shown: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0, which has units and exemplars too. */
export type ExpositionFormat = 'text' | 'openmetrics';

const CONTENT_TYPES = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const;

export const contentTypeOf = (format: ExpositionFormat): string => CONTENT_TYPES[format];

/** Longest `Accept` that is looked at; Prometheus' own has some 300 characters. */
const MAX_ACCEPT_LENGTH = 4096;

/**
 * The format for an `Accept` header (RFC 9110, section 12.5.1). OpenMetrics is for those who name it with version 1.0.0 or
 * none, and want it at least as much as the text format. All others get the text format, even where they don't accept
 * it: whoever looks with a browser or `curl` should see something.
 */
export function negotiateFormat(accept: string | undefined): ExpositionFormat {
  if (accept === undefined || accept.length > MAX_ACCEPT_LENGTH) return 'text';
  let openMetrics = 0;
  let text = 0;
  let textPrecedence = -1;
  for (const range of accept.split(',')) {
    const { type, parameters, quality } = parseRange(range);
    if (type === 'application/openmetrics-text') {
      const version = parameters.get('version');
      if (version === undefined || version === '1.0.0') openMetrics = Math.max(openMetrics, quality);
      continue;
    }
    // The range that fits best decides, whatever the others say; of several alike, the greatest.
    const precedence = TEXT_RANGES.indexOf(type);
    if (precedence > textPrecedence) [textPrecedence, text] = [precedence, quality];
    else if (precedence >= 0 && precedence === textPrecedence) text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'text';
}

/** What the text format fits, from the widest to the narrowest. */
const TEXT_RANGES = ['*/*', 'text/*', 'text/plain'];

function parseRange(range: string) {
  const [type = '', ...rest] = range.split(';');
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    const [name = '', value = ''] = parameter.split('=', 2);
    parameters.set(
      name.trim().toLowerCase(),
      value
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase(),
    );
  }
  return { type: type.trim().toLowerCase(), parameters, quality: qualityOf(parameters.get('q')) };
}

/** What is no quality counts as 1: it was meant to be accepted. */
function qualityOf(q: string | undefined): number {
  return q !== undefined && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q) : 1;
}
