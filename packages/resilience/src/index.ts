export * from './errors.js';
export { PerKey, type PerKeyOptions } from './per-key.js';
export { type Clock, nodeTimers, steadyClock, type Timers } from './time.js';
