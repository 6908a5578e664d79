/**
 * What each export goes through, such as the `execute` of a circuit breaker. `send` is called at most once and rejects
 * when the collector didn't take the spans; where the policy refuses to call it, they are lost as well.
 */
export type ExportPolicy = (send: () => Promise<void>) => Promise<unknown>;
