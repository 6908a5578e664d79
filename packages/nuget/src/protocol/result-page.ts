import { NuGetError } from '../errors.js';
import type { SearchOptions } from './model.js';

/** Which of the results of a search are wanted. */
export interface ResultPage {
  readonly skip: number;
  readonly take: number;
}

const DEFAULT_TAKE = 20;

/** @throws NuGetError `INVALID_OPTION` for a skip or take that is no number of results */
export function resultPage({ skip = 0, take = DEFAULT_TAKE }: Pick<SearchOptions, 'skip' | 'take'>): ResultPage {
  for (const [name, value] of Object.entries({ skip, take })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new NuGetError('INVALID_OPTION', `${name} must be a whole number from 0, not ${value}`);
  }
  return { skip, take };
}
