/** What a collector of ours tells of caches: one number with its meaning. */
export interface CollectedMetric {
  /** As Prometheus calls it, without a namespace. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Undefined for counts and states. */
  readonly unit?: 'seconds';
}

/** Every metric of chains and their layers, in the order in which they are shown. */
export const CHAIN_METRICS = {
  hits: {
    name: 'hits_total',
    type: 'counter',
    help: 'Gets that a cache layer answered with a value.',
    labelNames: ['layer'],
  },
  misses: {
    name: 'misses_total',
    type: 'counter',
    help: 'Gets for which a cache layer had no value.',
    labelNames: ['layer'],
  },
  errors: {
    name: 'errors_total',
    type: 'counter',
    help: 'Operations of a cache layer that failed.',
    labelNames: ['layer', 'operation', 'error_type'],
  },
  durations: {
    name: 'operation_duration_seconds',
    type: 'histogram',
    help: 'Durations of operations of a cache layer.',
    labelNames: ['layer', 'operation'],
    unit: 'seconds',
  },
  queueDepth: {
    name: 'queue_depth',
    type: 'gauge',
    help: 'Writes to a cache layer that wait or are under way.',
    labelNames: ['layer'],
  },
  writesDropped: {
    name: 'writes_dropped_total',
    type: 'counter',
    help: 'Writes to a cache layer that were given up: without room in the queue, or refused.',
    labelNames: ['layer'],
  },
  asyncWrites: {
    name: 'async_writes_total',
    type: 'counter',
    help: 'Writes to a cache layer made in the background.',
    labelNames: ['layer', 'status'],
  },
  circuitState: {
    name: 'circuit_state',
    type: 'gauge',
    help: 'Circuit of a cache layer: 0 closed, 1 open, 2 half-open.',
    labelNames: ['layer'],
  },
  circuitOpens: {
    name: 'circuit_opens_total',
    type: 'counter',
    help: 'Times that the circuit of a cache layer opened.',
    labelNames: ['layer'],
  },
  chainGets: {
    name: 'chain_gets_total',
    type: 'counter',
    help: 'Gets of cache chains, by the place of the layer with the value.',
    labelNames: ['result', 'layer'],
  },
  chainDurations: {
    name: 'chain_get_duration_seconds',
    type: 'histogram',
    help: 'Durations of gets of cache chains.',
    labelNames: [],
    unit: 'seconds',
  },
} as const satisfies Record<string, CollectedMetric>;

export type ChainMetricName = (typeof CHAIN_METRICS)[keyof typeof CHAIN_METRICS]['name'];

/** Upper bounds in seconds that suit caches: 1 µs, for memory, to 10 s. */
export const CHAIN_BUCKETS: readonly number[] = [
  0.000001, 0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** Layers that are told apart; what comes later is counted under `other`. */
export const MAX_LAYERS = 60;

/** As `circuit_state` shows them. */
export const CIRCUIT_STATES = { closed: 0, open: 1, 'half-open': 2 } as const;
