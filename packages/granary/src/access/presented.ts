import type { Credentials } from '@granary/reapi';

/** What a client says about itself, not yet believed. */
export type Presented =
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'malformed' };

/**
 * Reads Basic (RFC 7617) and Bearer (RFC 6750) credentials from the authorization header, else `user:password@` in
 * front of the authority's host, which gRPC clients send when their URL holds it. Undefined when there are none.
 */
export function presentedCredentials({ authorization, authority }: Credentials): Presented | undefined {
  if (authorization !== undefined) return fromHeader(authorization);
  const at = authority?.lastIndexOf('@') ?? -1;
  return at < 0 || authority === undefined ? undefined : fromUserinfo(authority.slice(0, at));
}

function fromHeader(header: string): Presented {
  const [, scheme, value] = /^(\w+) +(\S+)$/.exec(header.trim()) ?? [];
  if (scheme === undefined || value === undefined) return { kind: 'malformed' };
  if (scheme.toLowerCase() === 'bearer') return { kind: 'bearer', token: value };
  if (scheme.toLowerCase() !== 'basic' || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return { kind: 'malformed' };
  return userAndPassword(Buffer.from(value, 'base64').toString('utf8'));
}

function fromUserinfo(userinfo: string): Presented {
  try {
    const colon = userinfo.indexOf(':');
    if (colon < 0) return { kind: 'malformed' };
    const user = decodeURIComponent(userinfo.slice(0, colon));
    return user === ''
      ? { kind: 'malformed' }
      : { kind: 'basic', user, password: decodeURIComponent(userinfo.slice(colon + 1)) };
  } catch {
    return { kind: 'malformed' };
  }
}

function userAndPassword(text: string): Presented {
  const colon = text.indexOf(':');
  // Who shows a token as a password may leave the user out.
  return colon < 0
    ? { kind: 'malformed' }
    : { kind: 'basic', user: text.slice(0, colon), password: text.slice(colon + 1) };
}
