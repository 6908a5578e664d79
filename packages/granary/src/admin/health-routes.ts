import type { CheckReport, HealthReport } from '@granary/telemetry';
import { type AdminRequest, type Answer, json, type Route, text } from './route.js';

/** How everything is that the server needs for its work. */
export interface ServerHealthReport extends HealthReport {
  /** Whether the server ends, however well everything is. */
  readonly draining: boolean;
}

/** Where to ask how everything is. */
export interface HealthSource {
  /** Looks where it was not looked at just now. */
  report(): Promise<ServerHealthReport>;
  /** What was found last, at once. */
  last(): ServerHealthReport;
}

/**
 * `/healthz` says that the process runs, `/readyz` whether it should get work. Both are short unless `?verbose` or
 * `Accept: application/json` asks for each check.
 */
export function healthRoutes(health: HealthSource): Readonly<Record<string, Route>> {
  return {
    '/healthz': {
      summary: 'whether the process runs (?verbose shows each check)',
      open: true,
      // Whether it works well is another question, and nothing to wait for: to start the process anew would not mend a
      // disk or an upstream.
      get: (request) => (isVerbose(request) ? describe(health.last(), 200, request) : text(200, 'ok')),
    },
    '/readyz': {
      summary: 'whether the server takes work (?verbose shows each check)',
      open: true,
      get: async (request) => {
        const now = await health.report();
        const status = now.draining || now.status === 'unhealthy' ? 503 : 200;
        return isVerbose(request) ? describe(now, status, request) : text(status, sentence(now));
      },
    },
  };
}

function isVerbose(request: AdminRequest): boolean {
  return request.query.has('verbose') || wantsJson(request);
}

function wantsJson({ headers }: AdminRequest): boolean {
  return /\bapplication\/json\b/.test(headers.accept ?? '');
}

/** The whole in one line: what is wrong, where something is. */
function sentence({ status, checks, draining }: ServerHealthReport): string {
  if (draining) return 'the server is shutting down';
  if (status === 'healthy') return 'ready';
  const blamed = checks.filter(
    (check) =>
      check.status !== 'healthy' && (status === 'degraded' || (check.required && check.status === 'unhealthy')),
  );
  const why = blamed.map(({ name, reason, status: is }) => `${name}: ${reason ?? is}`).join('; ');
  return status === 'degraded' ? `ready, but degraded: ${why}` : why;
}

function describe(health: ServerHealthReport, code: number, request: AdminRequest): Answer {
  const { status, checks, draining } = health;
  if (wantsJson(request))
    return json({ status: draining ? 'unhealthy' : status, ...(draining && { draining }), checks }, code);
  const lines = checks.map(({ name, status: is, required, durationMs, reason, details }: CheckReport) =>
    [
      `${name}: ${is}${required ? '' : ' (not required)'}, ${durationMs.toFixed(1)} ms${reason === undefined ? '' : `: ${reason}`}`,
      ...Object.entries(details ?? {}).map(([key, value]) => `  ${key}: ${value}`),
    ].join('\n'),
  );
  return text(code, [...lines, sentence(health)].join('\n'));
}
