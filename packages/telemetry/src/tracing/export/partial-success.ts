import type { DiagLogger } from '@opentelemetry/api';

/** What a collector says of an export that it took without some of its spans, or took and has to say something of. */
export interface PartialSuccess {
  /** Spans that it refused, which are lost. */
  readonly rejected: number;
  /** Empty where it gave none. */
  readonly reason: string;
}

/**
 * Hears of partial successes: to OpenTelemetry's exporter they are successes, and it tells of them its diagnostics alone.
 */
export function listenForPartialSuccess(tell: (partial: PartialSuccess) => void): DiagLogger {
  const ignore = () => {};
  return {
    error: ignore,
    info: ignore,
    debug: ignore,
    verbose: ignore,
    warn: (_message, ...details) => {
      const partial = details.map(partialSuccessIn).find((found) => found !== undefined);
      if (partial) tell(partial);
    },
  };
}

function partialSuccessIn(detail: unknown): PartialSuccess | undefined {
  if (typeof detail !== 'string' || !detail.startsWith('{')) return undefined;
  try {
    const { rejectedSpans, errorMessage } = JSON.parse(detail);
    if (rejectedSpans === undefined && errorMessage === undefined) return undefined;
    return { rejected: Number(rejectedSpans ?? 0) || 0, reason: String(errorMessage ?? '') };
  } catch {
    return undefined;
  }
}
