import type { Credentials } from '../../edge/hooks.js';
import { socketOf } from './peer-socket.js';
import type { ServerCall } from './server-call.js';

/** What a call shows of who makes it. */
export function credentialsOf(call: Pick<ServerCall, 'metadata' | 'getHost'>): Credentials {
  const authorization = call.metadata.get('authorization')[0];
  return {
    authorization: authorization === undefined ? undefined : authorization.toString(),
    authority: call.getHost(),
    socket: socketOf(call),
  };
}
