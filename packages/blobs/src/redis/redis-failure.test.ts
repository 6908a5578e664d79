import { CacheClosedError, CacheTimeoutError, LayerUnavailableError } from '@granary/cache';
import { describe, expect, it } from 'vitest';
import { redisFailure } from './redis-failure.js';

describe('what Redis says', () => {
  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", 'exhausted'],
    ['ERR max number of clients reached', 'exhausted'],
    ['NOAUTH Authentication required.', 'refused'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'refused'],
    ['NOPERM this user has no permissions to run the set command', 'refused'],
    ['ERR invalid password', 'refused'],
    ["ERR unknown command 'strlen'", 'refused'],
    ["READONLY You can't write against a read only replica.", 'unavailable'],
    ['LOADING Redis is loading the dataset in memory', 'unavailable'],
    ['CLUSTERDOWN The cluster is down', 'unavailable'],
    ['MISCONF Redis is configured to save RDB snapshots', 'unavailable'],
    ['BUSY Redis is busy running a script', 'unavailable'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'invalid'],
    ['ERR syntax error', 'invalid'],
    ['Connection is closed.', 'unavailable'],
  ])('%s: %s', (message, kind) => {
    expect(redisFailure('near', new Error(message))).toMatchObject({ kind, tier: 'near' });
    const wrapped = new LayerUnavailableError('Redis', `not connected: ${message}`, { cause: new Error(message) });
    expect(redisFailure('near', wrapped)).toMatchObject({ kind });
  });

  it('is found behind what a cluster client says', () => {
    const error = Object.assign(new Error('Failed to refresh slots cache.'), {
      lastNodeError: new Error('NOAUTH Authentication required.'),
    });
    expect(redisFailure('near', new LayerUnavailableError('Redis', 'x', { cause: error }))).toMatchObject({
      kind: 'refused',
    });
  });

  it('is told from what sockets and timers say', () => {
    const refused = Object.assign(new Error('ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
    expect(redisFailure('near', refused)).toMatchObject({ kind: 'unavailable' });
    expect(redisFailure('near', new CacheTimeoutError('Redis call', 5))).toMatchObject({ kind: 'timeout' });
    expect(redisFailure('near', new CacheClosedError('Redis'))).toMatchObject({ code: 'STORE_CLOSED' });
    expect(redisFailure('near', 'text')).toMatchObject({ message: 'near: Redis: text' });
  });

  it('keeps no command, whose arguments may be a password or a blob', () => {
    const error = Object.assign(new Error('WRONGPASS no'), { command: { name: 'auth', args: ['secret'] } });
    const wrapped = new LayerUnavailableError('Redis', 'not connected: WRONGPASS no', { cause: error });
    for (const failure of [redisFailure('near', error), redisFailure('near', wrapped)]) {
      expect(failure.cause).toBeUndefined();
    }
  });
});
