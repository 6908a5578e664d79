import { holeRanges, type MessageTemplate } from '../templates/message-template.js';
import { findSecrets, hide, REDACTED } from './redaction.js';
import { overlap } from './template-secrets.js';

/** Hides what is a secret only as a whole (`{Name}={Value}`), in the message and in the values that it is made of. */
export function hideJoined(
  message: string,
  template: MessageTemplate,
  values: unknown[],
  args: readonly unknown[],
): string {
  const found = findSecrets(message);
  if (found.length === 0) return message;
  for (const [i, hole] of holeRanges(template, values, args).entries()) {
    if (values[i] !== undefined && found.some((range) => overlap(range, hole))) values[i] = REDACTED;
  }
  return hide(message, found);
}
