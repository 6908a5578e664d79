import type { DiagLogger } from '@opentelemetry/api';

/** What a collector says of an export that it took without some of its spans, or took and has to say something of. */
export interface PartialSuccess {
  /** Spans that it refused, which are lost. */
  readonly rejected: number;
  /** Empty where it gave none. */
  readonly reason: string;
}

/** A success by its status, with a body that no collector sends: perhaps the page of a proxy, or of another program. */
export interface ForeignAnswer {
  /** How it begins. */
  readonly answer: string;
}

/** What there is to say of an export that was a success. */
export type ExportNote = PartialSuccess | ForeignAnswer;

/**
 * Hears of partial successes and of answers that nobody can read: to OpenTelemetry's exporter they are successes, and it
 * tells of them its diagnostics alone.
 */
export function listenForNotes(tell: (note: ExportNote) => void): DiagLogger {
  const ignore = () => {};
  return {
    error: ignore,
    info: ignore,
    debug: ignore,
    verbose: ignore,
    warn: (_message, ...details) => {
      const note = details.map(noteIn).find((found) => found !== undefined);
      if (note) tell(note);
    },
  };
}

const MAX_ANSWER = 200;

function noteIn(detail: unknown): ExportNote | undefined {
  return detail instanceof Uint8Array ? foreignAnswerIn(detail) : partialSuccessIn(detail);
}

/** Some collectors say in JSON that all is well. */
function foreignAnswerIn(bytes: Uint8Array): ForeignAnswer | undefined {
  const answer = new TextDecoder().decode(bytes.subarray(0, MAX_ANSWER)).trim();
  return answer === '' || answer.startsWith('{') ? undefined : { answer };
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
