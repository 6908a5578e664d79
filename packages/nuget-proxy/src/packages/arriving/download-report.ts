import type { PackageIdentity } from '@granary/nuget';
import { quietly } from '@granary/resilience';
import { noopSpan, type Span } from '@granary/telemetry';
import type { ResolvedOptions } from '../package-store-options.js';
import type { Arrival } from './arrival.js';

/** Who asked for a package first. */
interface DownloadCall {
  readonly span?: Span | undefined;
  readonly sourceUrl?: string | undefined;
}

/** Tells whoever listens how a package is fetched from its source: in the log, in a span, and as a metric. */
export class DownloadReport {
  readonly #options: ResolvedOptions;
  readonly #source: string;
  readonly #identity: PackageIdentity;
  readonly #parent: Span | undefined;
  readonly #span: Span;
  readonly #startedAt: number;

  constructor(options: ResolvedOptions, source: string, identity: PackageIdentity, call: DownloadCall) {
    const { tracer, clock, logger } = options;
    const { id, version } = identity;
    this.#options = options;
    this.#source = source;
    this.#identity = identity;
    this.#parent = call.span;
    this.#startedAt = clock();
    logger.debug('Fetching {PackageId} {Version} from {Source}', id, version, source);
    this.#span = tracer.enabled
      ? tracer.startSpan('DownloadPackage', {
          ...(call.span && { parent: call.span }),
          attributes: {
            'package.id': id,
            'package.version': version.toNormalizedString(),
            'source.url': call.sourceUrl,
          },
        })
      : noopSpan;
  }

  /** What the calls that the download makes belong to. */
  get span(): Span | undefined {
    return this.#span.recording ? this.#span : this.#parent;
  }

  /** It broke off, and is asked for again. */
  broke({ message }: Error): void {
    const { id, version } = this.#identity;
    const what = 'Asking {Source} again for {PackageId} {Version}: {Error}';
    this.#options.logger.information(what, this.#source, id, version, message);
  }

  /** All of it is here and was verified. */
  verified(bytes: number): void {
    const { id, version } = this.#identity;
    const elapsed = this.#finished('success');
    const what = 'Fetched {PackageId} {Version} from {Source}: {Bytes} bytes in {Elapsed} ms';
    this.#options.logger.information(what, id, version, this.#source, bytes, elapsed);
  }

  /** The arrival is over, however it went. */
  ended({ state, length, isStopped }: Arrival): void {
    const span = this.#span;
    if (state.name === 'failed') {
      span.recordError(state.error);
      if (!isStopped) this.#failed(state.error);
    }
    if (span.recording) {
      span.setAttribute('cache.hit', state.name === 'stored');
      if (length !== undefined) span.setAttribute('package.size', length);
    }
    span.end();
  }

  #failed(error: unknown): void {
    const { id, version } = this.#identity;
    this.#finished('failure');
    this.#options.logger.warning(
      'Could not fetch {PackageId} {Version} from {Source}',
      id,
      version,
      this.#source,
      error,
    );
  }

  /** How long it took, in milliseconds. */
  #finished(status: 'success' | 'failure'): number {
    const { clock, metrics } = this.#options;
    const elapsedMs = clock() - this.#startedAt;
    quietly(() => metrics.packageDownloaded?.(status, elapsedMs, this.#span.recording ? this.#span : undefined));
    return elapsedMs;
  }
}
