// What several panels ask about the server itself.
import { rate, ratio, sum, sumOrZero } from './expressions.mjs';

/** What the server is to blame for; what a client did wrong, or gave up, is not. */
export const GRPC_FAULT = 'code=~"INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"';
export const HTTP_FAULT = 'code=~"5.."';

export const grpcRequests = (labels) => sumOrZero(rate('granary_grpc_requests_total', labels));
export const httpRequests = (labels) => sumOrZero(rate('granary_http_server_requests_total', labels));

/** Lookups of action results over both protocols, as clients saw them. */
export const actionHits = `(${grpcRequests('method="GetActionResult",code="OK"')} + ${httpRequests('route="ac",method="GET",code="200"')})`;
export const actionGets = `(${grpcRequests('method="GetActionResult",code=~"OK|NOT_FOUND"')} + ${httpRequests('route="ac",method="GET",code=~"200|404"')})`;
export const actionHitRatio = ratio(actionHits, actionGets);

/** Operations of a tier that ask for a blob. */
export const BLOB_READ = 'method=~"get|read"';
export const blobHitRatio = (by) =>
  ratio(
    sum(rate('granary_cache_requests_total', `${BLOB_READ},status="hit"`), by),
    sum(rate('granary_cache_requests_total', `${BLOB_READ},status=~"hit|miss"`), by),
  );

/** Bytes over both protocols; `over` is how: a rate, or what was added. */
export const allBytes = (direction, over) => {
  const labels = `direction="${direction}"`;
  return `${sumOrZero(over('granary_grpc_bytes_total', labels))} + ${sumOrZero(over('granary_http_server_bytes_total', labels))}`;
};
