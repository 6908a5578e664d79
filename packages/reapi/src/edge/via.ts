import { LoopError } from '@granary/blobs';

/** The servers that a request has passed, the first one first, separated by commas. */
export const VIA_HEADER = 'granary-via';

/** More servers than this in a row are a circle, or a mistake. */
const MOST_SERVERS = 16;
const SERVER_ID = /^[\w.:-]{1,128}$/;

/**
 * What a request's `granary-via` becomes when it goes on from here: with this server at its end. What is no list of
 * servers is taken for none, since it says nothing that could be relied on.
 *
 * @throws LoopError when the request has passed this server before, or too many others
 */
export function viaFrom(header: string | undefined, serverId: string): readonly string[] {
  if (!header) return [serverId];
  const ids = header.length > MOST_SERVERS * 130 ? [] : header.split(',', MOST_SERVERS + 1).map((id) => id.trim());
  if (ids.includes(serverId) || ids.length > MOST_SERVERS) throw new LoopError(serverId);
  return ids.every((id) => SERVER_ID.test(id)) ? [...ids, serverId] : [serverId];
}
