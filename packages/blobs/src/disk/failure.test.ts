import { describe, expect, it } from 'vitest';
import { NoSpaceError } from '../errors.js';
import { commitFailure } from './failure.js';

describe('a commit that failed', () => {
  const failure = (code: unknown, freeBytes: number) =>
    commitFailure(Object.assign(new Error('Input/output error'), { code }), 'cannot write', '/store', () => freeBytes);

  it.each([5, 'EIO'])('for want of space, which LMDB calls %s, says so', (code) => {
    expect(failure(code, 4096)).toBeInstanceOf(NoSpaceError);
  });

  it('is a failure of the store where there is room', () => {
    expect(failure(5, 2 ** 30)).toMatchObject({ code: 'STORE_FAILED' });
    expect(failure(22, 0)).toMatchObject({ code: 'STORE_FAILED' });
  });

  it('may be in a folder that nothing is known of', () => {
    const error = Object.assign(new Error('Input/output error'), { code: 5 });
    expect(commitFailure(error, 'cannot write', '/nowhere/at/all')).toMatchObject({ code: 'STORE_FAILED' });
  });
});
