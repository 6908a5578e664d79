import type { RequestRecord } from '@granary/reapi';
import {
  type Counter,
  DURATION_BUCKETS,
  type Histogram,
  type MetricRegistry,
  OVERFLOW_LABEL,
} from '@granary/telemetry';

/** Verbs of the cache protocol, and of feeds; a client may send any other. */
const METHODS: Readonly<Record<'http' | 'nuget', readonly string[]>> = {
  http: ['GET', 'HEAD', 'PUT'],
  nuget: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
};

/** A finished request, whichever protocol it spoke. */
export interface MeasuredRequest extends Omit<RequestRecord, 'protocol'> {
  /** Routes of feeds are counted as `nuget_package` and so on. */
  readonly protocol: RequestRecord['protocol'] | 'nuget';
}

type Services = Map<string, Map<string, MethodSeries>>;

interface MethodSeries {
  readonly service: string;
  readonly method: string;
  readonly byCode: Map<string, Counter>;
  readonly duration: Histogram;
  readonly received: Counter;
  readonly sent: Counter;
}

/** Where a request was counted. */
interface CountedRequest extends Pick<MeasuredRequest, 'protocol' | 'service' | 'method' | 'code'> {
  readonly series: MethodSeries;
  readonly requests: Counter;
}

/** How often something asked for was there. */
export interface HitCount {
  readonly hits: number;
  readonly misses: number;
}

/** Counts finished requests by protocol, method and outcome. */
export class RequestMetrics {
  readonly #grpc;
  readonly #http;
  /** By service and then by method: to put the two together for a look-up would cost as much as all the counting. */
  readonly #services: Services = new Map();
  readonly #feeds: Services = new Map();
  /** Most requests are like the one before, and are counted without a look-up (benchmark `server-throughput`). */
  #latest: CountedRequest | undefined;
  #requests = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #actionHits = 0;
  #actionMisses = 0;

  constructor(registry: MetricRegistry) {
    this.#grpc = {
      requests: registry.counter('grpc_requests_total', 'gRPC calls by their status.', ['service', 'method', 'code']),
      duration: registry.histogram(
        'grpc_request_duration_seconds',
        'Time from a gRPC call to its status.',
        ['service', 'method'],
        DURATION_BUCKETS,
      ),
      bytes: registry.counter('grpc_bytes_total', 'Bytes of gRPC messages.', ['method', 'direction']),
    };
    this.#http = {
      requests: registry.counter(
        'http_server_requests_total',
        'HTTP cache requests by their status; those of the route refused got no further than their listener.',
        ['route', 'method', 'code'],
      ),
      duration: registry.histogram(
        'http_server_request_duration_seconds',
        'Time from an HTTP request to its answer.',
        ['route', 'method'],
        DURATION_BUCKETS,
      ),
      bytes: registry.counter('http_server_bytes_total', 'Bytes of HTTP bodies.', ['method', 'direction']),
    };
  }

  record(record: MeasuredRequest): void {
    const { series, requests } = this.#placeOf(record);
    requests.add();
    // Only a trace that is recorded can be looked at.
    if (record.sampled && record.traceId !== undefined)
      series.duration.observeWithExemplar(record.durationMs / 1000, record.traceId, record.spanId);
    else series.duration.observe(record.durationMs / 1000);
    series.received.add(record.bytesIn);
    series.sent.add(record.bytesOut);
    this.#requests++;
    this.#bytesIn += record.bytesIn;
    this.#bytesOut += record.bytesOut;
    this.#countActionResult(record);
  }

  /** Counts an HTTP request that got no further than its listener: it took no time that says how the server does. */
  countRefused(method: string, code: string): void {
    const known = METHODS.http.includes(method) ? method : OVERFLOW_LABEL;
    this.#http.requests.with('refused', known, code).add();
  }

  get totals(): { readonly requests: number; readonly bytesIn: number; readonly bytesOut: number } {
    return { requests: this.#requests, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
  }

  /** Action results as clients saw them: a result whose outputs are gone is a miss. */
  get actionResults(): HitCount {
    return { hits: this.#actionHits, misses: this.#actionMisses };
  }

  #placeOf(record: MeasuredRequest): CountedRequest {
    const { protocol, service, method, code } = record;
    const latest = this.#latest;
    if (latest?.method === method && latest.code === code && latest.service === service && latest.protocol === protocol)
      return latest;
    const series = this.#series(record);
    let requests = series.byCode.get(code);
    if (!requests) {
      requests = this.#family(record).requests.with(series.service, series.method, code);
      series.byCode.set(code, requests);
    }
    this.#latest = { protocol, service, method, code, series, requests };
    return this.#latest;
  }

  #series(record: MeasuredRequest): MethodSeries {
    const services = record.protocol === 'nuget' ? this.#feeds : this.#services;
    let methods = services.get(record.service);
    if (!methods) {
      methods = new Map();
      services.set(record.service, methods);
    }
    let series = methods.get(record.method);
    if (!series) {
      const { duration, bytes } = this.#family(record);
      const isKnown = record.protocol === 'grpc' || METHODS[record.protocol].includes(record.method);
      const method = isKnown ? record.method : OVERFLOW_LABEL;
      const service = record.protocol === 'nuget' ? `nuget_${record.service}` : record.service;
      series = {
        service,
        method,
        byCode: new Map(),
        duration: duration.with(service, method),
        received: bytes.with(method, 'received'),
        sent: bytes.with(method, 'sent'),
      };
      // The names are those of our own methods and Node's list of verbs, so the maps stay small.
      methods.set(record.method, series);
    }
    return series;
  }

  #family({ protocol }: MeasuredRequest) {
    return protocol === 'grpc' ? this.#grpc : this.#http;
  }

  #countActionResult({ service, method, code }: MeasuredRequest): void {
    if (method !== 'GetActionResult' && !(service === 'ac' && method === 'GET')) return;
    if (code === 'OK' || code === '200') this.#actionHits++;
    else if (code === 'NOT_FOUND' || code === '404') this.#actionMisses++;
  }
}
