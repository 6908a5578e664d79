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
  const owned: Owned = {};
  try {
    const { tracing } = options;
    const endpoint = tracing?.endpoint?.trim();
    // The tracer comes after the logger, which it needs.
    const activeSpan = endpoint ? () => owned.traces?.tracer.activeSpan() : undefined;
    const logger = loggerOf(options.logger ?? {}, activeSpan, owned) as L;
    if (endpoint) owned.traces = await startOtlpTracing({ ...tracing, endpoint }, logger);
    const metrics = metricsOf(options.metrics ?? {}, owned);
    return new OwnedTelemetry(logger, metrics, owned);
  } catch (error) {
    await Promise.all([owned.traces?.close(), owned.logger?.close()]);
    throw error;
  }
}

/** What was made here, and is closed here. */
interface Owned {
  logger?: RootLogger;
  metrics?: MetricRegistry;
  traces?: OtlpTracing;
}

class OwnedTelemetry<L extends Logger> implements Telemetry<L> {
  readonly logger: L;
  readonly metrics: MetricRegistry;
  readonly tracer: Tracer;
  readonly #owned: Owned;
  #ending: Promise<void> | undefined;

  constructor(logger: L, metrics: MetricRegistry, owned: Owned) {
    this.logger = logger;
    this.metrics = metrics;
    this.tracer = owned.traces?.tracer ?? noopTracer;
    this.#owned = owned;
  }

  shutdown(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    this.#ending ??= this.#end(deadlineMs);
    return this.#ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #end(deadlineMs: number): Promise<void> {
    const { traces, logger, metrics } = this.#owned;
    const forTraces = deadlineMs * (1 - LOGGER_SHARE);
    if (traces !== undefined && !(await within(forTraces, traces.close()))) {
      this.#sayWhatIsLost(forTraces);
      await traces.abandon();
    }
    metrics?.close();
    if (logger !== undefined) await within(deadlineMs * LOGGER_SHARE, logger.close());
  }

  #sayWhatIsLost(deadlineMs: number): void {
    try {
      this.logger.warning('Spans that could not be exported within {DeadlineMs} ms were given up', deadlineMs);
    } catch {
      // A logger that fails must not keep the rest from being closed.
    }
  }
}

function loggerOf(given: LoggerOptions | Logger, activeSpan: LoggerOptions['activeSpan'], owned: Owned): Logger {
  if ('information' in given) return given;
  owned.logger = createLogger({ ...(activeSpan && { activeSpan }), ...given });
  return owned.logger;
}

function metricsOf(given: MetricsSetup | MetricRegistry, owned: Owned): MetricRegistry {
  if (given instanceof MetricRegistry) return given;
  const { process: withProcess = true, ...options } = given;
  owned.metrics = new MetricRegistry(options);
  if (withProcess) owned.metrics.addProcessMetrics();
  return owned.metrics;
}
