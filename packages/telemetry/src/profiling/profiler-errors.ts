/** Another profile of the same kind is being taken. */
export class ProfilerBusyError extends Error {
  readonly code = 'PROFILER_BUSY';
  /** When to try again, where that is known. Milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(what: string, retryAfterMs?: number) {
    super(`${what} is being taken already; one at a time`);
    this.name = 'ProfilerBusyError';
    this.retryAfterMs = retryAfterMs;
  }
}

/** Profiles can't be taken here: what takes them is not installed, or not made for this system. */
export class ProfilerUnavailableError extends Error {
  readonly code = 'PROFILER_UNAVAILABLE';

  constructor(cause: unknown) {
    super(
      `profiles need the package @datadog/pprof, which can't be loaded for Node ${process.versions.node} on ${process.platform}-${process.arch}: is it installed?`,
      { cause },
    );
    this.name = 'ProfilerUnavailableError';
  }
}

/** The profiler was closed before the profile was there. */
export class ProfilerClosedError extends Error {
  readonly code = 'PROFILER_CLOSED';

  constructor() {
    super('the profiler is closed');
    this.name = 'ProfilerClosedError';
  }
}
