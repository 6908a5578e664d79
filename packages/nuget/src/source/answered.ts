/**
 * Whether a status says that the body is what was asked for: 200, and 203 where somebody on the way has changed it (RFC 9110,
 * section 15.3.4). Some servers ask whoever is to sign in with 203, so what comes has to be looked at as ever.
 */
export function isAnswered(statusCode: number): boolean {
  return statusCode === 200 || statusCode === 203;
}
