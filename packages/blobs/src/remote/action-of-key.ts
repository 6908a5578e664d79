import { Digest } from '../digest.js';
import { isDigestFunction } from '../digest-function.js';

/** What an action result is stored under: an action's hash, and the instance that asked for it. */
export interface ActionOfKey {
  /** Its size is not known: keys have none. */
  readonly action: Digest;
  readonly instance: string;
}

/**
 * Takes a key apart that `actionKey` made.
 *
 * @throws RangeError when it is none
 * @throws InvalidDigestError when its hash is none
 */
export function actionOfKey(key: string): ActionOfKey {
  const [fn = '', hash = '', ...rest] = key.split('/');
  if (!isDigestFunction(fn) || key.length < fn.length + hash.length + 2)
    throw new RangeError('this is no key of an action result');
  return { action: Digest.parse(fn, hash, 0), instance: rest.join('/') };
}
