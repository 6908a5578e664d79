export * from './edge/hooks.js';
export { Health, type HealthStatus, STORAGE_SERVICES } from './grpc/health.js';
export { createRemoteCache, type RemoteCache, type RemoteCacheOptions } from './grpc/remote-cache.js';
export { createHttpCacheHandler, type HttpCacheHandler, type HttpCacheOptions } from './http/http-cache-handler.js';
export { ActionCache, type ActionCacheOptions } from './services/action-cache.js';
export { type CacheLimits, DEFAULT_LIMITS } from './services/limits.js';
export { isProtocolError, ProtocolError, type ProtocolErrorCode } from './services/protocol-error.js';
