import { REDACTED, redactStart } from '../logging/secrets/redaction.js';
import type { SecretNames } from '../logging/secrets/secret-names.js';
import type { HealthDetail, HealthFinding, HealthStatus } from './health-check.js';

const MAX_TEXT = 500;
const MAX_DETAILS = 30;
const STATUSES: readonly string[] = ['healthy', 'degraded', 'unhealthy'] satisfies readonly HealthStatus[];

/** What a check said, fit to be shown: bounded, without secrets, and a finding whatever the check really returned. */
export function publicFinding(finding: HealthFinding | undefined, secrets: SecretNames): HealthFinding {
  if (finding === undefined) return { status: 'healthy' };
  const { status, reason, details } = finding ?? {};
  if (status === undefined || !STATUSES.includes(status))
    return { status: 'unhealthy', reason: 'the check gave no answer that is one' };
  return {
    status,
    ...(reason !== undefined && { reason: publicText(reason) }),
    ...(details !== undefined && { details: publicDetails(details, secrets) }),
  };
}

/** What a check threw, as a finding. */
export function failedFinding(error: unknown): HealthFinding {
  return { status: 'unhealthy', reason: publicText(messageOf(error)) };
}

/** What was thrown may be anything, such as an object that can't be made text. */
function messageOf(error: unknown): string {
  try {
    return (error instanceof Error && error.message) || String(error);
  } catch {
    return 'the check failed';
  }
}

function publicText(value: string): string {
  return redactStart(String(value), MAX_TEXT);
}

function publicDetails(
  details: Readonly<Record<string, HealthDetail>>,
  secrets: SecretNames,
): Record<string, HealthDetail> {
  return Object.fromEntries(
    Object.entries(details)
      .slice(0, MAX_DETAILS)
      .map(([name, value]) => [name, secrets.has(name) ? REDACTED : publicDetail(value)]),
  );
}

function publicDetail(value: HealthDetail): HealthDetail {
  return typeof value === 'number' || typeof value === 'boolean' ? value : publicText(value);
}
