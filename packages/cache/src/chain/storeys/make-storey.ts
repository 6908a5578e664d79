import { quietly, type Timers } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import { ResilientLayer } from '../../decorators/resilient-layer.js';
import { MemoryLayer } from '../../layers/memory-layer.js';
import { AsyncWriter } from '../../writer/async-writer.js';
import type { AsyncWriterOptions } from '../../writer/async-writer-options.js';
import type { ChainOptions, LayerInChain } from '../options/chain-options.js';
import type { Recorder } from '../recorder.js';
import { type ReportFailure, Storey } from './storey.js';

/** What all layers of a chain share; the rest is as in its options. */
export interface StoreyContext<V> extends Pick<ChainOptions<V>, 'metrics' | 'resilience' | 'writers'> {
  readonly recorder: Recorder | undefined;
  readonly report: ReportFailure;
  readonly clock: () => number;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Puts a layer in its place: with what protects it, and what writes behind it. */
export function makeStorey<V>(entry: LayerInChain<V>, index: number, context: StoreyContext<V>): Storey<V> {
  const { layer, shared, writeBehind } = entry;
  const { metrics, timers, recorder, report, clock } = context;
  // Memory neither hangs nor fails, and is the fastest without anything around it.
  const protection = entry.resilience ?? (layer instanceof MemoryLayer ? false : context.resilience);
  const guarded = protection ? new ResilientLayer(layer, { metrics, timers, ...protection }) : layer;
  const writer =
    writeBehind &&
    new AsyncWriter(
      guarded,
      writerOptions(writeBehind, context, (key) => storey.doubt(key)),
    );
  const storey: Storey<V> = new Storey(guarded, {
    index,
    shared: shared ?? layer.shared ?? false,
    writer,
    recorder,
    report,
    clock,
  });
  return storey;
}

function writerOptions<V>(
  own: AsyncWriterOptions<V> | true,
  { clock, metrics, timers, writers, logger }: StoreyContext<V>,
  doubt: (key: string) => void,
): AsyncWriterOptions<V> {
  const merged: AsyncWriterOptions<V> = { clock, metrics, timers, ...writers, ...(own === true ? {} : own) };
  const { onFailure } = merged;
  return {
    ...merged,
    onFailure: (failure) => {
      doubt(failure.key);
      const { layer, operation, error } = failure;
      quietly(() => logger.warning('{Layer} failed to {Operation} behind', layer, operation, error));
      return onFailure?.(failure);
    },
  };
}
