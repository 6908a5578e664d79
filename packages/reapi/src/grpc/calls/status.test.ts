import {
  BlobDamagedError,
  BlobTooLargeError,
  DigestMismatchError,
  InvalidDigestError,
  NoSpaceError,
  StoreClosedError,
  StoreError,
  StoreLockedError,
} from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AccessDeniedError } from '../../edge/hooks.js';
import { ResourceNameError } from '../../resource-name.js';
import { ProtocolError } from '../../services/protocol-error.js';
import { WireFormatError } from '../../wire/index.js';
import { ZstdError } from '../../zstd/index.js';
import { socketOf } from './peer-socket.js';
import { CallEndedError, toStatus } from './status.js';

describe('the status of an error', () => {
  it.each<[status, unknown]>([
    [status.INVALID_ARGUMENT, new InvalidDigestError('')],
    [status.INVALID_ARGUMENT, new DigestMismatchError('')],
    [status.INVALID_ARGUMENT, new BlobTooLargeError(2, 1)],
    [status.RESOURCE_EXHAUSTED, new NoSpaceError('')],
    [status.NOT_FOUND, new BlobDamagedError('')],
    [status.UNAVAILABLE, new StoreClosedError()],
    [status.INTERNAL, new StoreLockedError('/var', 'pid 1')],
    [status.INTERNAL, new StoreError('STORE_FAILED', '/var/secret')],
    [status.INVALID_ARGUMENT, new ProtocolError('INVALID_REQUEST', '')],
    [status.RESOURCE_EXHAUSTED, new ProtocolError('MESSAGE_TOO_LARGE', '')],
    [status.NOT_FOUND, new ProtocolError('NOT_FOUND', '')],
    [status.OUT_OF_RANGE, new ProtocolError('OUT_OF_RANGE', '')],
    [status.PERMISSION_DENIED, new ProtocolError('READ_ONLY', '')],
    [status.FAILED_PRECONDITION, new ProtocolError('UNSERVABLE', '')],
    [status.DEADLINE_EXCEEDED, new ProtocolError('IDLE', '')],
    [status.INVALID_ARGUMENT, new WireFormatError('')],
    [status.INVALID_ARGUMENT, new ResourceNameError('')],
    [status.INVALID_ARGUMENT, new ZstdError('TOO_LARGE', '')],
    [status.UNAUTHENTICATED, new AccessDeniedError('UNAUTHENTICATED', '')],
    [status.PERMISSION_DENIED, new AccessDeniedError('PERMISSION_DENIED', '')],
    [status.RESOURCE_EXHAUSTED, new AccessDeniedError('RATE_LIMITED', '')],
    [status.CANCELLED, new CallEndedError('CANCELLED')],
    [status.DEADLINE_EXCEEDED, new CallEndedError('DEADLINE_EXCEEDED')],
    [status.CANCELLED, AbortSignal.abort().reason],
    [status.DEADLINE_EXCEEDED, new DOMException('late', 'TimeoutError')],
    [status.INTERNAL, new TypeError('x is not a function')],
  ])('is %i for %s', (code, error) => {
    expect(toStatus(error).code).toBe(code);
  });

  it('is INTERNAL for anything at all, and says nothing of the inside', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        expect(toStatus(thrown)).toEqual({ code: status.INTERNAL, details: 'the server failed; its log says how' });
      }),
    );
    expect(toStatus(new StoreError('STORE_FAILED', '/var/secret')).details).not.toContain('secret');
  });

  it('has details of bounded length that can be sent, whatever they quote', () => {
    const cutByOthers = `"x${'💥'.repeat(100)}`.slice(0, 201);
    for (const text of ['x'.repeat(1e6), '💥'.repeat(1e6), `x${'💥'.repeat(1e6)}`, `${cutByOthers}…"`, '\udca5']) {
      const { details } = toStatus(new ProtocolError('NOT_FOUND', text));
      expect(details.length).toBeLessThanOrEqual(1025);
      expect(encodeURI(details)).toBeTruthy();
    }
  });
});

describe('the socket of a call', () => {
  it('is found below any number of interceptors, and is undefined where there is none', () => {
    const socket = { remoteAddress: '10.0.0.1' };
    const base = { stream: { session: { socket } } };
    expect(socketOf({ call: { nextCall: { nextCall: base } } })).toBe(socket);
    expect(socketOf({})).toBeUndefined();
    expect(socketOf({ call: { stream: { session: undefined } } })).toBeUndefined();
  });
});
