export type { AllowsAddress } from './client/connections/checked-connector.js';
export type { ProxyOptions } from './client/connections/proxies.js';
export {
  type SecureConnections,
  type SecureConnectionsOptions,
  type SecureServer,
  secureConnections,
} from './client/connections/secure-connections.js';
export { HttpClient } from './client/http-client.js';
export type { HttpClientOptions, HttpRequestOptions, ThrottleOptions } from './client/options.js';
export { type BodyConsumer, consumeBody, type ResponseBody } from './client/response-body.js';
export type { HttpResponse } from './client/streamed-call.js';
export type {
  CallProgress,
  HeaderRecord,
  HttpDispatchOptions,
  HttpInterceptor,
  RequestBody,
  ResponseHeaders,
} from './dispatch.js';
export { HttpError, type HttpErrorCode, type HttpErrorDetails, isHttpError } from './http-error.js';
export { type CircuitBreakerOptions, circuitBreaker } from './interceptors/circuit-breaker.js';
export { type DeadlineOptions, deadline } from './interceptors/deadline.js';
export { type DecompressOptions, decompress } from './interceptors/decompress.js';
export { type LimitsOptions, limits } from './interceptors/limits.js';
export { type ObserveOptions, observe } from './interceptors/observe.js';
export { type RateLimitOptions, rateLimit } from './interceptors/rate-limit.js';
export { type RedirectOptions, redirect } from './interceptors/redirect.js';
export { type HttpRetryEvent, type HttpRetryOptions, retry } from './interceptors/retry.js';
export { throttle } from './interceptors/throttle.js';
export { userAgent } from './interceptors/user-agent.js';
export type { HttpCallStatus, HttpClientState, HttpMetrics } from './metrics.js';
export { registryHttpMetrics } from './registry-http-metrics.js';
export { parseRetryAfter } from './retry-after.js';
