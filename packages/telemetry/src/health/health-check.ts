/**
 * How something is: `degraded` works, but not as it should; `unhealthy` doesn't work.
 */
export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

/** A value among a check's details. */
export type HealthDetail = string | number | boolean;

/** What a check found. */
export interface HealthFinding {
  readonly status: HealthStatus;
  /** Why it is not healthy, in one sentence for people. */
  readonly reason?: string | undefined;
  /** Figures and names that help whoever looks. Everyone may read them: secrets are taken out, but put none in. */
  readonly details?: Readonly<Record<string, HealthDetail>> | undefined;
}

/**
 * Looks at one thing. Healthy when it finds nothing to say, unhealthy when it throws: the error's message is the reason.
 *
 * @param signal aborts when nobody waits for the answer any longer
 */
export type HealthCheck = (signal: AbortSignal) => HealthFinding | undefined | Promise<HealthFinding | undefined>;

export interface HealthCheckOptions {
  /**
   * Whether the whole is unhealthy when this is. Without it the whole is then degraded: it does with less. Default true.
   */
  readonly required?: boolean | undefined;
  /** Time that a run may take; what takes longer is unhealthy. Milliseconds, default 5000. */
  readonly timeoutMs?: number | undefined;
  /** How long a result is taken as it is before somebody who asks causes another run. Milliseconds, default 1000. */
  readonly freshMs?: number | undefined;
  /** Which parts of the program need this, such as the names of services. Default: all of them. */
  readonly neededBy?: readonly string[] | undefined;
}

/** How one check went when it ran last. */
export interface CheckReport {
  readonly name: string;
  readonly required: boolean;
  readonly status: HealthStatus;
  readonly reason?: string | undefined;
  readonly details?: Readonly<Record<string, HealthDetail>> | undefined;
  /** How long the run took; of one that hangs, how long it has been running. */
  readonly durationMs: number;
}

/** How everything is. */
export interface HealthReport {
  /** `unhealthy` when something required is; `degraded` when anything else is not healthy. */
  readonly status: HealthStatus;
  /** In the order in which the checks were registered. */
  readonly checks: readonly CheckReport[];
}
