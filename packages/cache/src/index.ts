export * from './errors.js';
export type { InvalidationBus, InvalidationListener, InvalidationMessage } from './invalidation/invalidation-bus.js';
export { LocalInvalidationBus } from './invalidation/local-invalidation-bus.js';
export { LocalTagIndex, type LocalTagIndexOptions } from './invalidation/local-tag-index.js';
export { TagDeletions, type TagDeletionsOptions } from './invalidation/tag-deletions.js';
export { checkTag, checkTags, MAX_TAGS, type TaggedKeys, type TagIndex, type TagOptions } from './invalidation/tags.js';
export { checkKey, MAX_KEY_LENGTH } from './key.js';
export type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from './layer.js';
