import { StoreError, type StoreErrorCode } from '@granary/blobs';
import { NuGetError, type NuGetErrorCode, SourceError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { FeedAccessError } from './hooks.js';
import { HttpError, toHttpError } from './http-error.js';

describe('an error', () => {
  it('that has a status already keeps it', () => {
    const error = new HttpError(418, 'tea');
    expect(toHttpError(error, 'read')).toBe(error);
  });

  it.each<[NuGetErrorCode, number, number]>([
    ['INVALID_VERSION', 400, 400],
    ['INVALID_PACKAGE_ID', 400, 400],
    ['PACKAGE_NOT_FOUND', 404, 404],
    ['INVALID_PACKAGE', 502, 400],
    ['CONFLICT', 500, 409],
    ['LIMIT', 502, 413],
    ['UNAUTHORIZED', 502, 403],
    ['FORBIDDEN', 403, 403],
    ['UNSUPPORTED', 501, 403],
    ['SOURCE_UNAVAILABLE', 503, 503],
    ['CLOSED', 503, 503],
    ['PROTOCOL', 502, 502],
  ])('%s is %i for who reads, and %i for who pushes', (code, reading, pushing) => {
    expect(toHttpError(new NuGetError(code, 'because'), 'read').status).toBe(reading);
    expect(toHttpError(new NuGetError(code, 'because'), 'push').status).toBe(pushing);
  });

  it('tells what was wrong with what the client sent', () => {
    expect(toHttpError(new NuGetError('CONFLICT', 'A 1.0.0 is there already'), 'push').message).toMatch(/already/);
    expect(toHttpError(new NuGetError('INVALID_VERSION', '"x" is no version'), 'read').message).toMatch(/no version/);
  });

  it('of a source tells nothing that has its address in it', () => {
    for (const code of [
      'CONFLICT',
      'FORBIDDEN',
      'INVALID_PACKAGE',
      'LIMIT',
      'SOURCE_UNAVAILABLE',
      'PROTOCOL',
    ] as const) {
      const error = new SourceError(code, 'feed', 'https://secret.test/v3 says no');
      for (const right of ['read', 'push'] as const) expect(toHttpError(error, right).message).not.toMatch(/secret/);
    }
  });

  it.each<[NuGetErrorCode, string]>([
    ['SOURCE_UNAVAILABLE', 'the source of this package can not be asked now'],
    ['PROTOCOL', 'the source of this package gave no answer that makes sense'],
    ['LIMIT', 'the source of this package sends more than this server takes'],
    ['UNAUTHORIZED', 'the source of this package refuses this server'],
    ['FORBIDDEN', 'the source of this package refuses it'],
    ['UNSUPPORTED', 'no source offers this'],
    ['PACKAGE_NOT_FOUND', 'there is no such package'],
    ['CLOSED', 'the server is shutting down'],
  ])('%s says to who reads: %s', (code, sentence) => {
    expect(toHttpError(new SourceError(code, 'feed', 'https://secret.test/v3'), 'read').message).toBe(sentence);
  });

  it('of a source that refuses what is pushed says why in its words, without addresses', () => {
    const reason = 'the licence is missing, see HTTPS://secret.test/why';
    const error = new SourceError('INVALID_PACKAGE', 'feed', 'https://secret.test/ answered 400', { reason });
    const message = 'feed refuses it: the licence is missing, see …';
    expect(toHttpError(error, 'push')).toMatchObject({ status: 400, message });
    expect(toHttpError(error, 'read').message).not.toContain('licence');
  });

  it('of a feed that can not be asked says when to try again, if the source asked for that', () => {
    const status = (retryAfterMs?: number) =>
      toHttpError(new FeedUnavailableError('feed', 'https://secret.test failed', { retryAfterMs }), 'read');
    expect(status()).toMatchObject({ status: 503, message: 'feed can not be asked now' });
    expect(status().headers).toEqual({});
    expect(status(1500).headers).toEqual({ 'Retry-After': '2' });
    expect(status(0).headers).toEqual({ 'Retry-After': '1' });
    expect(status(1e12).headers).toEqual({ 'Retry-After': '3600' });
  });

  it('of a feed that is not asked because it is down lets nobody wait for that', () => {
    const cause = new Error('failed', { cause: Object.assign(new Error('open'), { code: 'CIRCUIT_OPEN' }) });
    const error = toHttpError(new FeedUnavailableError('feed', 'x', { cause, retryAfterMs: 30_000 }), 'read');
    expect([error.status, error.headers]).toEqual([503, {}]);
  });

  it('of a feed that answers with nonsense, or refuses this server, says that', () => {
    const answer = (code: NuGetErrorCode) => {
      const cause = new SourceError(code, 'feed', 'https://secret.test says no');
      return toHttpError(new FeedUnavailableError('feed', cause.message, { cause }), 'read');
    };
    const nonsense = { status: 502, message: 'feed gave no answer that makes sense' };
    expect(answer('INVALID_PACKAGE')).toMatchObject(nonsense);
    expect(answer('PROTOCOL')).toMatchObject(nonsense);
    expect(answer('PROTOCOL').headers).toEqual({});
    expect(answer('LIMIT')).toMatchObject({ status: 502, message: 'feed sends more than this server takes' });
    expect(answer('UNAUTHORIZED')).toMatchObject({ status: 502, message: 'feed refuses this server' });
    expect(answer('FORBIDDEN')).toMatchObject({ status: 502, message: 'feed refuses this server' });
    expect(answer('UNSUPPORTED')).toMatchObject({ status: 501, message: "feed doesn't offer this" });
    expect(answer('SOURCE_UNAVAILABLE').status).toBe(503);
  });

  it('of a source that holds back a package says why in its words, without addresses', () => {
    const answer = (code: NuGetErrorCode) => {
      const reason = 'Acme.Core 1.0.0 is quarantined, see https://secret.test/why';
      const cause = new SourceError(code, 'feed', 'https://secret.test answered 403', { reason });
      return toHttpError(new FeedUnavailableError('feed', cause.message, { cause }), 'read');
    };
    const message = 'feed refuses it: Acme.Core 1.0.0 is quarantined, see …';
    expect(answer('FORBIDDEN')).toMatchObject({ status: 502, message });
    // What it says of credentials is about those of this server.
    expect(answer('UNAUTHORIZED')).toMatchObject({ status: 502, message: 'feed refuses this server' });
  });

  it('of who may do what is told as that, whoever throws it', () => {
    expect(toHttpError(new FeedAccessError('UNAUTHENTICATED', 'who?'), 'read')).toMatchObject({
      status: 401,
      headers: { 'WWW-Authenticate': expect.stringMatching(/^Basic realm=.*Bearer/) },
    });
    const denied = Object.assign(new Error('not you'), { code: 'PERMISSION_DENIED' });
    expect(toHttpError(denied, 'read')).toMatchObject({ status: 403, message: 'not you' });
    expect(toHttpError(new FeedAccessError('RATE_LIMITED', 'slowly'), 'read').headers).toEqual({ 'Retry-After': '60' });
    expect(toHttpError({ code: 'UNAUTHENTICATED' }, 'read').status).toBe(500);
    expect(toHttpError(Object.assign(new Error('x'), { code: 'toString' }), 'read').status).toBe(500);
  });

  it('of the storage is told without where it is', () => {
    const status = (code: StoreErrorCode) => toHttpError(new StoreError(code, '/var/secret'), 'push');
    expect(status('NO_SPACE').status).toBe(507);
    expect(status('BLOB_TOO_LARGE').status).toBe(413);
    const soon = { 'Retry-After': '10' };
    const closed = { status: 503, message: 'the server is shutting down', headers: soon };
    expect(status('STORE_CLOSED')).toMatchObject(closed);
    const unreachable = { status: 503, message: 'the storage can not be reached now', headers: soon };
    expect(status('TIER_UNAVAILABLE')).toMatchObject(unreachable);
    expect(status('NO_SPACE').message).not.toMatch(/secret/);
    expect(toHttpError(Object.assign(new Error('/x'), { code: 'ENOSPC' }), 'push').status).toBe(507);
    const cause = new StoreError('NO_SPACE', '/var/secret');
    const full = toHttpError(new FeedUnavailableError('feed', cause.message, { cause }), 'read');
    expect(full).toMatchObject({ status: 507, message: 'there is no room for the package' });
  });

  it.each([[new Error('/var/secret')], [new TypeError('x')], ['text'], [undefined], [null], [7]])(
    '%j is ours, and says nothing',
    (error) => {
      expect(toHttpError(error, 'read')).toMatchObject({ status: 500, message: 'the server failed; its log says how' });
    },
  );
});
