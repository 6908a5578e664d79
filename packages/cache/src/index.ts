export * from './errors.js';
export { checkKey, MAX_KEY_LENGTH } from './key.js';
export type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from './layer.js';
