// Expressions in PromQL that many panels share.

/** Keeps a series to the servers that are chosen at the top of the dashboard. */
export const CHOSEN = 'job=~"$job",instance=~"$instance"';

/** How fast a counter grows a second. `labels` are further matchers, such as `status="hit"`. */
export const rate = (family, labels) => `rate(${of(family, labels)}[$__rate_interval])`;

/** How much a counter grew over the whole time that is shown. */
export const grown = (family, labels) => `increase(${of(family, labels)}[$__range])`;

/** The series of a family of the chosen servers. */
export const of = (family, labels) => `${family}{${labels ? `${CHOSEN},${labels}` : CHOSEN}}`;

export const sum = (expression, by) => (by ? `sum by (${by}) (${expression})` : `sum(${expression})`);

/** A sum that is 0, rather than nothing, where no series is there yet. */
export const sumOrZero = (expression) => `(sum(${expression}) or vector(0))`;

/** Part of a whole; nothing where there is no whole, rather than what is not a number. */
export const ratio = (part, whole) => `${part} / (${whole} > 0)`;

export const quantile = (q, family, by, labels) =>
  `histogram_quantile(${q}, ${sum(rate(`${family}_bucket`, labels), by ? `${by}, le` : 'le')})`;

/** p50, p95 and p99 as the three lines of one panel. */
export const quantiles = (family, by, labels) =>
  [0.5, 0.95, 0.99].map((q) => ({
    expr: quantile(q, family, by, labels),
    legend: [`p${q * 100}`, ...(by ? by.split(', ').map((name) => `{{${name}}}`) : [])].join(' '),
  }));
