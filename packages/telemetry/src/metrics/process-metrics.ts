import type { Registry } from 'prom-client';
import type { ExpositionWriter, FamilyHead, FamilyType } from './exposition/exposition-writer.js';
import { canonicalNumber, labelText, numberText } from './exposition/text.js';
import type { FamilyDefinition } from './family.js';

interface PromSample {
  readonly value: number;
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels?: Readonly<Record<string, string | number>>;
}

/** What prom-client's metrics have and its types don't say. */
interface PromMetric {
  readonly name: string;
  readonly labelNames: readonly string[];
}

interface PromFamily {
  readonly name: string;
  readonly help: string;
  readonly type: FamilyType;
  readonly values: readonly PromSample[];
}

/** How often prom-client looks at the event loop: each look wakes an idle process, and `EventLoopWatch` looks, too. */
const LOOK_EVERY_MS = 100;
/** What these tell is the time between two looks, of which most was meant to pass. */
const BETWEEN_LOOKS = /nodejs_eventloop_lag_(?:min|max|mean|p\d\d)_seconds$/;
/** The least of no looks at all, as after a scrape that was just now, is the largest number that there is. */
const LONGEST_S = 1e9;

/** prom-client's metrics of Node and of the process, in a registry of their own. */
export async function loadProcessMetrics(prefix: string): Promise<ProcessMetrics> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: LOOK_EVERY_MS });
  const metrics = new ProcessMetrics(registry);
  await metrics.read();
  return metrics;
}

export class ProcessMetrics {
  readonly #registry: Registry;
  #families: readonly PromFamily[] = [];

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** As of the last {@link read}. */
  families(): (FamilyDefinition & { readonly type: FamilyType })[] {
    const metrics = this.#registry.getMetricsAsArray() as unknown as readonly PromMetric[];
    const labels = new Map(metrics.map(({ name, labelNames }) => [name, labelNames.filter((label) => label !== 'le')]));
    return this.#families.map((family) => ({ ...headOf(family), labelNames: labels.get(family.name) ?? [] }));
  }

  async read(): Promise<readonly PromFamily[]> {
    const families = (await this.#registry.getMetricsAsJSON()) as unknown as PromFamily[];
    this.#families = families.map((family) => (BETWEEN_LOOKS.test(family.name) ? latenessOf(family) : family));
    return this.#families;
  }

  async write(writer: ExpositionWriter): Promise<void> {
    for (const family of await this.read()) {
      writer.begin(headOf(family));
      for (const sample of family.values) {
        const { le } = sample.labels;
        const bound = le === undefined ? undefined : writer.format === 'text' ? String(le) : boundText(Number(le));
        const suffix = (sample.metricName ?? family.name).slice(family.name.length);
        writer.line({ text: labelText(labelsOf(sample)) }, suffix, bound, sample.value, undefined);
      }
    }
  }
}

function latenessOf(family: PromFamily): PromFamily {
  const late = (seconds: number) => (seconds < LONGEST_S ? Math.max(0, seconds - LOOK_EVERY_MS / 1000) : 0);
  return { ...family, values: family.values.map((sample) => ({ ...sample, value: late(sample.value) })) };
}

/** A gauge whose name says that it is a total is of no known type, for whoever checks names. */
function headOf({ name, help, type }: PromFamily): FamilyHead {
  const isTotal = name.endsWith('_total');
  return { name, help: help === '' ? name : help, type: type !== 'counter' && isTotal ? 'untyped' : type };
}

function labelsOf({ labels, sharedLabels }: PromSample): Record<string, string | number> {
  const { le: _, ...others } = { ...sharedLabels, ...labels };
  return others;
}

const boundText = (le: number): string => (Number.isNaN(le) ? numberText(Infinity) : canonicalNumber(le));
