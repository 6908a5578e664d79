import type { AttributeValue, SpanKind } from '../tracing/tracer.js';
import { protobufFields } from './protobuf-reader.js';

export interface CollectedEvent {
  readonly name: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** A span as it came to a collector. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for the first span of a trace. */
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly kind: SpanKind | 'unspecified';
  /** Nanoseconds since 1970. */
  readonly startTimeUnixNano: bigint;
  readonly endTimeUnixNano: bigint;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly events: readonly CollectedEvent[];
  readonly status: 'unset' | 'ok' | 'error';
  readonly statusMessage: string | undefined;
  /** What the process says of itself. */
  readonly resource: Readonly<Record<string, AttributeValue>>;
  /** The name of the tracer. */
  readonly scope: string;
}

type Value = bigint | Buffer;
type Attributes = Record<string, AttributeValue>;

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const STATUSES = ['unset', 'ok', 'error'] as const;

/** The spans in an `ExportTraceServiceRequest` of OTLP, in its binary form. */
export function readExportRequest(message: Buffer): CollectedSpan[] {
  return all(message, 1).flatMap((resourceSpans) => {
    const resource = attributesOf(bytes(first(resourceSpans, 1)), 1);
    return all(resourceSpans, 2).flatMap((scopeSpans) => {
      const scope = text(first(bytes(first(scopeSpans, 1)), 1));
      return all(scopeSpans, 2).map((span) => readSpan(span, resource, scope));
    });
  });
}

function readSpan(span: Buffer, resource: Attributes, scope: string): CollectedSpan {
  const status = bytes(first(span, 15));
  return {
    traceId: bytes(first(span, 1)).toString('hex'),
    spanId: bytes(first(span, 2)).toString('hex'),
    traceState: text(first(span, 3)) || undefined,
    parentSpanId: bytes(first(span, 4)).toString('hex') || undefined,
    name: text(first(span, 5)),
    kind: KINDS[Number(first(span, 6) ?? 0n)] ?? 'unspecified',
    startTimeUnixNano: fixed64(first(span, 7)),
    endTimeUnixNano: fixed64(first(span, 8)),
    attributes: attributesOf(span, 9),
    events: all(span, 11).map((event) => ({ name: text(first(event, 2)), attributes: attributesOf(event, 3) })),
    statusMessage: text(first(status, 2)) || undefined,
    status: STATUSES[Number(first(status, 3) ?? 0n)] ?? 'unset',
    resource,
    scope,
  };
}

function attributesOf(message: Buffer, field: number): Attributes {
  return Object.fromEntries(
    all(message, field).map((pair) => [text(first(pair, 1)), readValue(bytes(first(pair, 2)))]),
  );
}

function readValue(value: Buffer): AttributeValue {
  for (const { number, value: content } of protobufFields(value)) {
    if (number === 1) return text(content);
    if (number === 2) return content !== 0n;
    if (number === 3) return Number(BigInt.asIntN(64, content as bigint));
    if (number === 4) return bytes(content).readDoubleLE();
    if (number === 5) return all(bytes(content), 1).map((item) => readValue(item)) as string[] | number[];
  }
  return '';
}

function all(message: Buffer, field: number): Buffer[] {
  return [...protobufFields(message)].filter(({ number }) => number === field).map(({ value }) => bytes(value));
}

function first(message: Buffer, field: number): Value | undefined {
  for (const { number, value } of protobufFields(message)) if (number === field) return value;
  return undefined;
}

const bytes = (value: Value | undefined): Buffer => (Buffer.isBuffer(value) ? value : Buffer.alloc(0));
const text = (value: Value | undefined): string => bytes(value).toString('utf8');
const fixed64 = (value: Value | undefined): bigint => (Buffer.isBuffer(value) ? value.readBigUInt64LE() : 0n);
