import type { Digest } from '@granary/blobs';
import { checkInstanceName } from '../../resource-name.js';
import { inlineOutputs } from '../../services/inline-outputs.js';
import { isPending } from '../../services/pending.js';
import { invalidRequest, ProtocolError } from '../../services/protocol-error.js';
import {
  decodeGetActionResultRequest,
  decodeUpdateActionResultRequest,
  type GetActionResultRequest,
} from '../../wire/index.js';
import { type Endpoint, unary } from '../calls/endpoint.js';
import { type CacheParts, requireDigest } from './cache-parts.js';

const SERVICE = 'build.bazel.remote.execution.v2.ActionCache';

/** `ActionCache`: results pass through as bytes, both ways (REAPI v2). */
export function actionCacheEndpoints({ edge, actionCache, blobs, digests, limits }: CacheParts): Endpoint[] {
  const get = {
    service: SERVICE,
    name: 'GetActionResult',
    right: 'read',
    decode: decodeGetActionResultRequest,
  } as const;
  const update = {
    service: SERVICE,
    name: 'UpdateActionResult',
    right: 'write',
    decode: decodeUpdateActionResultRequest,
  } as const;

  return [
    unary(edge, get, (request, call) => {
      checkInstanceName(request.instanceName);
      const fn = digests.require(request.digestFunction);
      const action = requireDigest(request.actionDigest, 'action_digest');
      if (call.wantsDetails) call.subject = action.toString();
      const { options } = call;
      const answer = (result: Buffer | undefined) => {
        // One that came over HTTP may be larger than what a client of gRPC takes.
        if (!result || result.length > limits.maxMessageBytes) throw noResult(action);
        const wanted = wantedInline(request);
        return wanted ? inlineOutputs(blobs, result, fn, wanted, limits.maxMessageBytes, options) : result;
      };
      const result = actionCache.get(request.instanceName, action, options);
      return isPending(result) ? result.then(answer) : answer(result);
    }),

    unary(edge, update, async (request, call) => {
      checkInstanceName(request.instanceName);
      digests.require(request.digestFunction);
      const action = requireDigest(request.actionDigest, 'action_digest');
      if (call.wantsDetails) call.subject = action.toString();
      const { actionResult } = request;
      if (!actionResult) throw invalidRequest('the request has no action_result');
      const { maxActionResultBytes } = limits;
      if (actionResult.length > maxActionResultBytes)
        throw invalidRequest(`a result of ${actionResult.length} bytes is over the limit of ${maxActionResultBytes}`);
      await actionCache.update(request.instanceName, action, actionResult, call.options);
      return actionResult;
    }),
  ];
}

function noResult(action: Digest): ProtocolError {
  return new ProtocolError('NOT_FOUND', `there is no complete result of action ${action}`);
}

function wantedInline({ inlineStdout, inlineStderr, inlineOutputFiles }: GetActionResultRequest) {
  if (!inlineStdout && !inlineStderr && inlineOutputFiles.length === 0) return undefined;
  return { stdout: inlineStdout, stderr: inlineStderr, files: inlineOutputFiles };
}
