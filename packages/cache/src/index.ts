export { Chain, createChain } from './chain/chain.js';
export type {
  ChainGetOptions,
  ChainOptions,
  ChainSetOptions,
  ChainStats,
  LayerInChain,
} from './chain/options/chain-options.js';
export type { LoadContext, LoadDefaults, Loader, LoadOptions } from './chain/options/load-options.js';
export { decayingTtl, type TtlStrategy, ttlPerLayer, uniformTtl } from './chain/options/ttl-strategy.js';
export {
  type WarmByAccessCountOptions,
  type WarmingStrategy,
  warmAlways,
  warmByAccessCount,
  warmBySize,
  warmNever,
} from './chain/options/warming-strategy.js';
export { BatchAdapter, type BatchAdapterOptions } from './decorators/batch-adapter.js';
export { BloomLayer, type BloomLayerOptions, type BloomLayerStats } from './decorators/bloom-layer.js';
export { NamespacedLayer, type NamespacedLayerOptions } from './decorators/namespaced-layer.js';
export { NegativeLayer, type NegativeLayerOptions } from './decorators/negative-layer.js';
export { ResilientLayer, type ResilientLayerOptions } from './decorators/resilient-layer.js';
export type { SchemaIssue, SchemaResult, StandardSchema } from './decorators/standard-schema.js';
export { ValidatedLayer, type ValidatedLayerOptions, type ValidationPolicy } from './decorators/validated-layer.js';
export { allOf, atMostBytes, fitting, ofType, type Validator, type ValueType } from './decorators/validators.js';
export * from './errors.js';
export { FoundEntries } from './found-entries.js';
export type { InvalidationBus, InvalidationListener, InvalidationMessage } from './invalidation/invalidation-bus.js';
export { LocalInvalidationBus } from './invalidation/local-invalidation-bus.js';
export { LocalTagIndex, type LocalTagIndexOptions } from './invalidation/local-tag-index.js';
export { TagDeletions, type TagDeletionsOptions } from './invalidation/tag-deletions.js';
export { checkTag, checkTags, MAX_TAGS, type TaggedKeys, type TagIndex, type TagOptions } from './invalidation/tags.js';
export { checkKey, MAX_KEY_LENGTH } from './key.js';
export type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from './layer.js';
export { estimateBytes } from './layers/estimate-bytes.js';
export { FunctionLayer, type FunctionLayerOptions } from './layers/function-layer.js';
export type { LifetimeOptions } from './layers/lifetime.js';
export { MemoryLayer, type MemoryLayerOptions, type MemoryLayerStats } from './layers/memory-layer.js';
export { bytesSerializer } from './serializers/bytes-serializer.js';
export { jsonSerializer } from './serializers/json-serializer.js';
export { type MessagePackCodec, messagePackSerializer } from './serializers/message-pack-serializer.js';
export type { Serializer, SerializerOptions } from './serializers/serializer.js';
export { AsyncWriter } from './writer/async-writer.js';
export type { AsyncWriterOptions, AsyncWriterStats, WriteFailure } from './writer/async-writer-options.js';
export type { Change as PendingChange } from './writer/pending-write.js';
