import type { Metric } from 'prom-client';
import type { Labels, LineSink } from './family.js';
import type { Family } from './registry.js';

/** What prom-client's registry asks of a metric when it is scraped. Its types want its own classes, its code doesn't. */
export function promClientMetric(family: Family): Metric {
  const { name, help } = family.definition;
  const get = async () => ({ name, help, type: family.type, values: samplesOf(family) });
  return { name, help, get } as unknown as Metric;
}

/** A line as prom-client knows it. */
interface Sample {
  readonly value: number;
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** One object for each series: prom-client remembers its text. */
  readonly sharedLabels: Labels;
}

function samplesOf(family: Family): Sample[] {
  const samples: Sample[] = [];
  const sink: LineSink = {
    format: 'text',
    line({ labels }, suffix, le, value) {
      const metricName = `${family.definition.name}${suffix}`;
      samples.push({ value, metricName, labels: le === undefined ? {} : { le }, sharedLabels: labels });
    },
  };
  if (!family.refresh()) return samples;
  for (let i = 0; i < family.seriesCount; i++) family.emit(i, sink);
  return samples;
}
