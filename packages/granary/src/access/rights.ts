import type { Right } from '@granary/reapi';

/** What an identity may do; each level includes the ones before it. */
export const RIGHT_LEVELS = ['none', 'read', 'write', 'admin'] as const;

export type RightLevel = (typeof RIGHT_LEVELS)[number];

export function allows(level: RightLevel, right: Right): boolean {
  return RIGHT_LEVELS.indexOf(level) >= RIGHT_LEVELS.indexOf(right);
}

export function isRightLevel(text: string): text is RightLevel {
  return (RIGHT_LEVELS as readonly string[]).includes(text);
}
