export type { ProfilerTimers } from './pause.js';
export { type ProfileOptions, Profiler, type ProfilerOptions } from './profiler.js';
export { ProfilerBusyError, ProfilerClosedError, ProfilerUnavailableError } from './profiler-errors.js';
