import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { callFailure, type PeerStatus } from './call-failure.js';

const failure = (over: Partial<PeerStatus>) =>
  callFailure('upstream', 'a call', { code: status.UNAVAILABLE, details: '', ...over });

function metadataWith(name: string, value: string | Buffer): Metadata {
  const metadata = new Metadata();
  metadata.set(name, value);
  return metadata;
}

const field = (tag: number, bytes: Buffer) => Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
const any = (type: string, value: Buffer) =>
  field(0x1a, Buffer.concat([field(0x0a, Buffer.from(type)), field(0x12, value)]));
/** 2.5 s, with fields that nobody knows around it. */
const RETRY_INFO = field(0x0a, Buffer.from([0x08, 2, 0x18, 7, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]));

describe('what a status becomes', () => {
  it('names the tier, the call, the status and what the peer said, in bounds', () => {
    expect(failure({ details: 'x'.repeat(5000) }).message).toMatch(/^upstream: a call failed: UNAVAILABLE: x{300}…$/);
    expect(failure({ code: 77 }).message).toBe('upstream: a call failed: status 77');
  });

  it('is no matter of retries when a message is over a limit', () => {
    const details = 'Received message larger than max (5 vs 4)';
    expect(failure({ code: status.RESOURCE_EXHAUSTED, details })).toMatchObject({ kind: 'invalid', retryable: false });
    expect(failure({ code: status.RESOURCE_EXHAUSTED, details: 'quota' })).toMatchObject({
      kind: 'exhausted',
      retryable: true,
    });
  });

  it.each([
    ['grpc-retry-pushback-ms', '1500', 1500, true],
    ['grpc-retry-pushback-ms', '-1', undefined, false],
    ['grpc-retry-pushback-ms', 'soon', undefined, false],
    ['grpc-status-details-bin', any('type.googleapis.com/google.rpc.RetryInfo', RETRY_INFO), 2500, true],
    [
      'grpc-status-details-bin',
      Buffer.concat([
        field(0x12, Buffer.from('text')),
        any('type.googleapis.com/google.rpc.DebugInfo', Buffer.from([1])),
        any('x/google.rpc.RetryInfo', Buffer.alloc(0)),
      ]),
      0,
      true,
    ],
    ['grpc-status-details-bin', Buffer.from('no message'), undefined, true],
    ['grpc-status-details-bin', any('type.googleapis.com/google.rpc.RetryInfo', Buffer.from([0xff])), undefined, true],
    ['grpc-status-details-bin', any('x/google.rpc.Other', RETRY_INFO), undefined, true],
    ['other', 'x', undefined, true],
  ])('takes what %s says of the next try', (name, value, retryAfterMs, retryable) => {
    expect(failure({ metadata: metadataWith(name, value) })).toMatchObject({ retryAfterMs, retryable });
  });
});
