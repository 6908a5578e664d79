import type { SpanContext as OtelSpanContext } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { OpenTelemetryApi } from '../otel-context.js';
import { ReceivedState } from '../propagation/received-state.js';

/** What all spans of a tracer say: it isn't sent with each of them. */
export type SpanOrigin = Pick<ReadableSpan, 'resource' | 'instrumentationScope'>;

type Place = Omit<OtelSpanContext, 'traceState'>;

type Copied = Pick<
  ReadableSpan,
  | 'name'
  | 'kind'
  | 'startTime'
  | 'endTime'
  | 'duration'
  | 'status'
  | 'attributes'
  | 'droppedAttributesCount'
  | 'events'
  | 'droppedEventsCount'
>;

/** A span that has ended, as it goes to another thread: data alone. It has no links, since none of ours have. */
export interface SpanMessage extends Copied {
  readonly place: Place;
  readonly traceState: string | undefined;
  readonly parent: Place | undefined;
}

export function messageOf(span: ReadableSpan): SpanMessage {
  const context = span.spanContext();
  return {
    name: span.name,
    kind: span.kind,
    place: placeOf(context),
    traceState: context.traceState?.serialize(),
    parent: span.parentSpanContext && placeOf(span.parentSpanContext),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    status: span.status,
    attributes: span.attributes,
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events,
    droppedEventsCount: span.droppedEventsCount,
  };
}

/** The span that a message tells of, for an exporter. */
export function spanOf(
  { place, traceState, parent, ...copied }: SpanMessage,
  origin: SpanOrigin,
  api: Pick<OpenTelemetryApi, 'createTraceState'>,
): ReadableSpan {
  const context = traceState ? { ...place, traceState: new ReceivedState(traceState, api) } : place;
  return {
    ...copied,
    ...origin,
    spanContext: () => context,
    ...(parent && { parentSpanContext: parent }),
    ended: true,
    links: [],
    droppedLinksCount: 0,
  };
}

function placeOf({ traceId, spanId, traceFlags, isRemote }: OtelSpanContext): Place {
  return { traceId, spanId, traceFlags, ...(isRemote !== undefined && { isRemote }) };
}
