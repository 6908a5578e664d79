export * from './errors.js';
export { type Clock, nodeTimers, steadyClock, type Timers } from './time.js';
