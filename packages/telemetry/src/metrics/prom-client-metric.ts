import type { Metric } from 'prom-client';
import type { Labels, LineSink } from './family.js';
import type { Family } from './registry.js';

/** What prom-client's registry asks of a metric. Its types want its own classes, its code doesn't. */
export function promClientMetric(family: Family): Metric {
  const { help } = family.definition;
  const { type } = family;
  const told = (samples: Sample[]) => ({ name: metric.name, help, type, aggregator, values: samples });
  // Where processes of a cluster are added up, two circuits that are open are no half-open one.
  const aggregator = family.definition.name.endsWith('_state') ? 'max' : 'sum';
  const metric = {
    // For OpenMetrics the registry takes the ending off, here, and puts it to the lines that have no name of their own.
    name: family.definition.name,
    help,
    type,
    aggregator,
    get: async () => told(samplesOf(family, (le, { labels }) => ({ labels: { ...le, ...labels } }))),
    getForPromString: async () => told(samplesOf(family, (le, { labels }) => ({ labels: le, sharedLabels: labels }))),
    reset: () => family.reset(),
  };
  return metric as unknown as Metric;
}

interface SampleLabels {
  readonly labels: Labels;
  /** One object for each series: prom-client remembers its text. */
  readonly sharedLabels?: Labels;
}

/** A line as prom-client knows it. */
interface Sample extends SampleLabels {
  readonly value: number;
  /** Undefined: that of the metric. */
  readonly metricName: string | undefined;
}

const NO_BOUND: Labels = {};

function samplesOf(
  family: Family,
  labelsOf: (le: Labels, series: { readonly labels: Labels }) => SampleLabels,
): Sample[] {
  const samples: Sample[] = [];
  const sink: LineSink = {
    format: 'text',
    line(series, suffix, le, value) {
      const metricName = suffix === '' ? undefined : `${family.definition.name}${suffix}`;
      samples.push({ value, metricName, ...labelsOf(le === undefined ? NO_BOUND : { le }, series) });
    },
  };
  if (!family.refresh()) return samples;
  for (let i = 0; i < family.seriesCount; i++) family.emit(i, sink);
  return samples;
}
