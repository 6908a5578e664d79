import type { Logger, MetricRegistry, Tracer } from '@granary/telemetry';
import type { Config } from '../config/schema.js';
import type { Closers } from './closers.js';

/** What every part of a server is made with. */
export interface ServerContext {
  readonly version: string;
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: MetricRegistry;
  readonly tracer: Tracer;
  /** Takes what a part has to close, in the order in which it was opened. */
  readonly closers: Closers;
}
