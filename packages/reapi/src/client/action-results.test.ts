import { actionKey } from '@granary/blobs';
import { actionResultStoreContract } from '@granary/blobs/contract';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { isActionResult } from '../services/opaque-value.js';
import { encodeGenerated } from '../wire/generated-message.js';
import { decodeUpdateActionResultRequest } from '../wire/index.js';
import { disposeAfterEach } from './testing/disposal.js';
import { startLoopbackTier, testTier } from './testing/loopback-tier.js';
import { grpcError, type PeerHandlers, startTestPeer } from './testing/test-peer.js';

const use = disposeAfterEach(afterEach);
const ACTION = { function: 'sha256', hash: 'ab'.repeat(32) };

/** Keeps bytes as they are. */
function startKeeper() {
  const results = new Map<string, Buffer>();
  const handlers: PeerHandlers = {
    getActionResult: ({ instanceName, actionDigest }) => {
      const found = results.get(`sha256/${actionDigest?.hash}/${instanceName}`);
      if (!found) throw grpcError(status.NOT_FOUND);
      return found;
    },
    updateActionResult: (request) => {
      const { instanceName, actionDigest, actionResult } = decodeUpdateActionResultRequest(request);
      results.set(`sha256/${actionDigest?.hash}/${instanceName}`, Buffer.from(actionResult as Buffer));
      return Buffer.alloc(0);
    },
  };
  return { results, handlers };
}

async function start(handlers: PeerHandlers, options: Parameters<typeof testTier>[1] = {}) {
  const peer = use(await startTestPeer(handlers));
  const tier = use(testTier(`127.0.0.1:${peer.port}`, options));
  return { peer, results: tier.actionResults };
}

/** The protocol has no call to delete a result, so the suite deletes behind the tier's back. */
actionResultStoreContract({ describe, it, expect }, 'GrpcTier.actionResults', async () => {
  const { results, handlers } = startKeeper();
  const peer = await startTestPeer(handlers);
  const tier = testTier(`127.0.0.1:${peer.port}`);
  const { actionResults } = tier;
  return {
    store: {
      name: actionResults.name,
      get: actionResults.get.bind(actionResults),
      set: actionResults.set.bind(actionResults),
      close: actionResults.close.bind(actionResults),
      delete: async (key) => results.delete(key),
    },
    dispose: async () => {
      await tier.close();
      await peer[Symbol.asyncDispose]();
    },
  };
});

describe('action results of a peer', () => {
  it('pass through another Granary as they are', async () => {
    const { tier, actionResults } = use(await startLoopbackTier());
    const result = encodeGenerated(ActionResultSchema, { exitCode: 3, stdoutRaw: Buffer.from('out') });
    const key = actionKey('main/x', ACTION);
    await tier.actionResults.set(key, result);
    expect(actionResults.get(key)).toEqual(result);
    expect(await tier.actionResults.get(key)).toEqual(result);
    expect(await tier.actionResults.delete(key)).toBe(false);
  });

  it('bring along what is none, as HTTP clients keep it', async () => {
    const { tier, actionResults } = use(await startLoopbackTier());
    const key = actionKey('main', ACTION);
    for (const value of [Buffer.from('cCrS, as ccache has it'), Buffer.alloc(100_000, 0xff)]) {
      await tier.actionResults.set(key, value);
      expect((await tier.actionResults.get(key))?.equals(value)).toBe(true);
      // What the peer has is a result.
      expect(isActionResult((await actionResults.get(key)) as Buffer, 'sha256')).toBe(true);
    }
  });

  it('are kept under the instance name of the tier, in front of the one of the request', async () => {
    const { tier, actionResults } = use(await startLoopbackTier({ instanceName: 'team/a' }));
    const result = encodeGenerated(ActionResultSchema, { exitCode: 1 });
    for (const [asked, kept] of [
      ['', 'team/a'],
      ['ci', 'team/a/ci'],
    ] as const) {
      await tier.actionResults.set(actionKey(asked, ACTION), result);
      expect(actionResults.get(actionKey(kept, ACTION))).toEqual(result);
      expect(await tier.actionResults.get(actionKey(asked, ACTION))).toEqual(result);
    }
  });

  it('are named with a size, which some peers insist on', async () => {
    let size = 0n;
    const { results } = await start({
      getActionResult: ({ actionDigest }) => {
        size = actionDigest?.sizeBytes ?? 0n;
        throw grpcError(status.NOT_FOUND);
      },
    });
    expect(await results.get(actionKey('', ACTION))).toBeUndefined();
    expect(size).toBeGreaterThan(0n);
  });

  it('are not sent to a peer that takes none', async () => {
    const { peer, results } = await start({
      capabilities: () => ({
        cacheCapabilities: { digestFunctions: [1], actionCacheUpdateCapabilities: { updateEnabled: false } },
      }),
    });
    await expect(results.set(actionKey('', ACTION), Buffer.alloc(1))).rejects.toMatchObject({
      kind: 'refused',
      retryable: false,
      unfit: true,
    });
    expect(peer.count('UpdateActionResult')).toBe(0);
  });

  it('are sent to a peer that does not say whether it takes any', async () => {
    const { peer, results } = await start({
      capabilities: () => ({ cacheCapabilities: { digestFunctions: [1] } }),
      updateActionResult: () => Buffer.alloc(0),
    });
    await results.set(actionKey('', ACTION), Buffer.alloc(0));
    expect(peer.count('UpdateActionResult')).toBe(1);
  });

  it('of a digest function that the peer does not know are missing, and refused', async () => {
    const { peer, results } = await start({ capabilities: () => ({ cacheCapabilities: { digestFunctions: [1] } }) });
    const key = actionKey('', { function: 'blake3', hash: 'ab'.repeat(32) });
    expect(await results.get(key)).toBeUndefined();
    await expect(results.set(key, Buffer.alloc(1))).rejects.toMatchObject({ kind: 'refused', unfit: true });
    expect(peer.calls).toEqual(['GetCapabilities']);
  });

  it('are written in order, and a failure or an abort holds nobody up', async () => {
    const { handlers } = startKeeper();
    let first = true;
    const { results } = await start({
      ...handlers,
      updateActionResult: (request) => {
        if (first) {
          first = false;
          throw grpcError(status.UNAVAILABLE);
        }
        return handlers.updateActionResult?.(request) as Buffer;
      },
    });
    const key = actionKey('', ACTION);
    const abort = new AbortController();
    const written = Promise.allSettled([
      results.set(key, Buffer.from('one')),
      results.set(key, Buffer.from('two'), { signal: abort.signal }),
      results.set(key, Buffer.from('three')),
    ]);
    abort.abort(new Error('gone'));
    expect((await written).map((result) => result.status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(String(await results.get(key))).toBe('three');
  });

  it('can be asked for until the store is closed', async () => {
    const { peer, results } = await start({});
    await results.close();
    await expect((async () => results.get(actionKey('', ACTION)))()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(results.set(actionKey('', ACTION), Buffer.alloc(1))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(peer.calls).toEqual([]);
  });

  it('fail clearly for a key that is none', async () => {
    const { results } = await start({});
    await expect((async () => results.get('nonsense'))()).rejects.toThrow(RangeError);
  });

  it.each([
    [status.UNAVAILABLE, 'unavailable', true],
    [status.DEADLINE_EXCEEDED, 'timeout', true],
    [status.RESOURCE_EXHAUSTED, 'exhausted', true],
    [status.UNAUTHENTICATED, 'refused', false],
    [status.PERMISSION_DENIED, 'refused', false],
    [status.UNIMPLEMENTED, 'refused', false],
    [status.FAILED_PRECONDITION, 'refused', false],
    [status.INVALID_ARGUMENT, 'invalid', false],
    [status.INTERNAL, 'unavailable', true],
    [status.UNKNOWN, 'unavailable', true],
    [status.CANCELLED, 'unavailable', true],
    [status.DATA_LOSS, 'unavailable', false],
    [99, 'unavailable', true],
  ])('that end with status %i are %s', async (code, kind, retryable) => {
    const { results } = await start({
      getActionResult: () => {
        throw grpcError(code, 'why');
      },
    });
    await expect(results.get(actionKey('', ACTION))).rejects.toMatchObject({ kind, retryable, tier: 'upstream' });
  });

  it.each([
    [status.INVALID_ARGUMENT, { kind: 'invalid', retryable: false, rejected: true, unfit: true }],
    [status.UNKNOWN, { kind: 'invalid', retryable: false, rejected: true, unfit: false }],
    [status.FAILED_PRECONDITION, { kind: 'refused', retryable: false, rejected: false }],
    [status.INTERNAL, { kind: 'unavailable', retryable: true, rejected: false }],
  ])('that the peer answers with status %i say whether it will not have this one', async (code, expected) => {
    const { results } = await start({
      updateActionResult: () => {
        throw grpcError(code, 'absolute path in output file: "/a"');
      },
    });
    const sent = results.set(actionKey('', ACTION), encodeGenerated(ActionResultSchema, { exitCode: 1 }));
    await expect(sent).rejects.toMatchObject({ ...expected, status: code });
    await expect(sent).rejects.toThrow(/^upstream: ActionCache\.UpdateActionResult at .* failed: .*: absolute path/);
  });
});
