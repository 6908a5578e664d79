import type { Counter, MetricRegistry } from '@granary/telemetry';

/** What a look-up of a source ended with: as `X-Cache` says it, or without anything. */
export type LookupResult = 'hit' | 'stale' | 'revalidated' | 'miss' | 'not_found' | 'error';

const RESULTS: readonly LookupResult[] = ['hit', 'stale', 'revalidated', 'miss', 'not_found', 'error'];
/** How a source does, as a number: what hurts more is larger. */
const HEALTH: Readonly<Record<string, number>> = { unknown: 0, up: 0, slow: 1, limited: 1, down: 2, offline: 3 };

/** What the gauges show of the feeds while they are open. */
export interface NuGetGauges {
  sources(): Iterable<readonly [name: string, state: string]>;
  readonly arriving: number;
  readonly kept: { readonly packages: number; readonly bytes: number };
}

/** What is counted of the feeds. The families are there before the feeds are, so that nobody has to wait for them. */
export class NuGetMetrics {
  readonly #lookups;
  readonly #saved;
  #gauges: NuGetGauges | undefined;

  constructor(registry: MetricRegistry) {
    this.#lookups = registry.counter(
      'nuget_proxy_lookups_total',
      'Look-ups of a NuGet source: revalidated and miss asked it; hit and stale were answered from here, or with what was being asked already.',
      ['source', 'kind', 'result'],
      { values: { kind: ['package', 'metadata'], result: RESULTS }, maxSeries: 1000 },
    );
    this.#saved = registry.counter(
      'nuget_proxy_saved_bytes_total',
      'Bytes of packages that were given from here instead of by their source.',
      ['source'],
    );
    const gauge = (name: string, help: string, read: (gauges: NuGetGauges) => number) =>
      registry.gauge(name, help, [], { read: () => (this.#gauges === undefined ? 0 : read(this.#gauges)) });
    registry.gauge(
      'nuget_proxy_source_health',
      'How a NuGet source does: 0 well or not asked yet, 1 slow or limiting, 2 failing, 3 not asked because the server is offline.',
      ['source'],
      { read: () => this.#health() },
    );
    gauge('nuget_proxy_arriving_packages', 'Packages that arrive from their sources.', ({ arriving }) => arriving);
    gauge('nuget_proxy_kept_packages', 'Packages that are never evicted.', ({ kept }) => kept.packages);
    gauge('nuget_proxy_kept_bytes', 'Bytes of packages that are never evicted.', ({ kept }) => kept.bytes);
  }

  /** Shows how the feeds are, until `undefined` is given. */
  show(gauges: NuGetGauges | undefined): void {
    this.#gauges = gauges;
  }

  /** What one source counts with. */
  forSource(name: string): SourceCounters {
    return new SourceCounters((kind, result) => this.#lookups.with(name, kind, result), this.#saved.with(name));
  }

  *#health(): Generator<readonly [readonly [string], number]> {
    for (const [name, state] of this.#gauges?.sources() ?? []) yield [[name], HEALTH[state] ?? 0];
  }
}

export type LookupKind = 'package' | 'metadata';

/** What was asked of one source, since the start. */
export interface LookupCount {
  /** Answered from here: what was fresh or being asked for, and what was given because the source failed or took too long. */
  readonly hits: number;
  /** The part of them that was given so. */
  readonly stale: number;
  /** Answered by the source, if only that nothing has changed. */
  readonly misses: number;
}

/** Counts what is asked of one source. */
export class SourceCounters {
  readonly #byKind: Readonly<Record<LookupKind, Readonly<Record<LookupResult, Counter>>>>;
  readonly #saved: Counter;

  constructor(counterOf: (kind: LookupKind, result: LookupResult) => Counter, saved: Counter) {
    const of = (kind: LookupKind) =>
      Object.fromEntries(RESULTS.map((result) => [result, counterOf(kind, result)])) as Record<LookupResult, Counter>;
    this.#byKind = { package: of('package'), metadata: of('metadata') };
    this.#saved = saved;
  }

  count(kind: LookupKind, result: LookupResult): void {
    this.#byKind[kind][result].add();
  }

  save(bytes: number): void {
    this.#saved.add(bytes);
  }

  get savedBytes(): number {
    return this.#saved.value;
  }

  of(kind: LookupKind): LookupCount {
    const { hit, stale, revalidated, miss } = this.#byKind[kind];
    return { hits: hit.value + stale.value, stale: stale.value, misses: revalidated.value + miss.value };
  }
}
