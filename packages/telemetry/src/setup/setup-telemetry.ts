import type { Logger } from '../logger.js';
import { createLogger, type LoggerOptions, type RootLogger } from '../logging/create-logger.js';
import { MetricRegistry, type MetricRegistryOptions } from '../metrics/registry.js';
import { noopTracer } from '../tracing/noop-tracer.js';
import { type OtlpTracing, type OtlpTracingOptions, startOtlpTracing } from '../tracing/otlp-tracing.js';
import type { Tracer } from '../tracing/tracer.js';
import { within } from './within.js';

export interface MetricsSetup extends MetricRegistryOptions {
  /** Whether the metrics of Node and of the process are among them. Default true. */
  readonly process?: boolean | undefined;
}

export interface TracingSetup extends Omit<OtlpTracingOptions, 'endpoint'> {
  /** The collector: `HOST:PORT` or `http://…` for plain text, `https://…` for TLS. Empty or undefined: no tracing. */
  readonly endpoint?: string | undefined;
}

export interface TelemetryOptions<L extends Logger = RootLogger> {
  /** What to log and where to, or a logger that is there already; that one is left open at the end. Default: `{}`. */
  readonly logger?: LoggerOptions | L | undefined;
  /** What to count, or a registry that is there already. Default: `{}`. */
  readonly metrics?: MetricsSetup | MetricRegistry | undefined;
  /** Where spans go to. Default: nowhere, and nothing of OpenTelemetry is loaded. */
  readonly tracing?: TracingSetup | undefined;
}

/** What was set up, to be handed to whatever takes a logger, a registry or a tracer. */
export interface Telemetry<L extends Logger = RootLogger> extends AsyncDisposable {
  readonly logger: L;
  readonly metrics: MetricRegistry;
  /** {@link noopTracer} when tracing is off. */
  readonly tracer: Tracer;
  /**
   * Sends the spans that wait, closes exporters, and then the logger. Takes at most `deadlineMs` (default 5000): what is
   * not done by then is given up. Can be called again, and never rejects.
   */
  shutdown(deadlineMs?: number): Promise<void>;
}

const DEFAULT_DEADLINE_MS = 5000;
/** Part of the deadline that is the logger's, which is told how the rest went. */
const LOGGER_SHARE = 0.2;

/**
 * Sets up logs, metrics and traces in one go, and owns what it made until {@link Telemetry.shutdown}. Without an endpoint
 * for traces it costs what a logger and a registry cost.
 *
 * @throws when the log's file can't be opened, for a tracing endpoint that is none, or a ratio that isn't 0 to 1
 */
export async function setupTelemetry<L extends Logger = RootLogger>(
  options: TelemetryOptions<L> = {},
): Promise<Telemetry<L>> {
  const { logger: given = {}, metrics: counted = {}, tracing } = options;
  const own = isLogger(given) ? undefined : createLogger(given);
  // Either there is no logger of its own, and then it was given, or L is what its options make.
  const logger = (own ?? given) as L;
  try {
    const metrics = counted instanceof MetricRegistry ? counted : createMetrics(counted);
    const endpoint = tracing?.endpoint?.trim();
    const traces = endpoint ? await startOtlpTracing({ ...tracing, endpoint }, () => logger) : undefined;
    return new OwnedTelemetry(logger, own, metrics, traces);
  } catch (error) {
    await own?.close();
    throw error;
  }
}

class OwnedTelemetry<L extends Logger> implements Telemetry<L> {
  readonly logger: L;
  readonly metrics: MetricRegistry;
  readonly tracer: Tracer;
  readonly #ownLogger: RootLogger | undefined;
  readonly #traces: OtlpTracing | undefined;
  #ending: Promise<void> | undefined;

  constructor(logger: L, ownLogger: RootLogger | undefined, metrics: MetricRegistry, traces: OtlpTracing | undefined) {
    this.logger = logger;
    this.metrics = metrics;
    this.tracer = traces?.tracer ?? noopTracer;
    this.#ownLogger = ownLogger;
    this.#traces = traces;
  }

  shutdown(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    this.#ending ??= this.#end(deadlineMs);
    return this.#ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #end(deadlineMs: number): Promise<void> {
    const tracesMs = deadlineMs * (1 - LOGGER_SHARE);
    if (this.#traces !== undefined && !(await within(tracesMs, this.#traces.close()))) {
      this.logger.warning('Spans were given up that could not be exported within {DeadlineMs} ms', tracesMs);
    }
    if (this.#ownLogger !== undefined) await within(deadlineMs * LOGGER_SHARE, this.#ownLogger.close());
  }
}

function createMetrics({ process: withProcess = true, ...options }: MetricsSetup): MetricRegistry {
  const registry = new MetricRegistry(options);
  if (withProcess) registry.addProcessMetrics();
  return registry;
}

function isLogger(given: object): given is Logger {
  return 'information' in given;
}
