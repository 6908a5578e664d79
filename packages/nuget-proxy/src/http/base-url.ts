import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { NuGetError } from '@granary/nuget';
import { HttpError } from './http-error.js';

/** Names, addresses and ports; nothing that could mean anything else in a URL, such as `user@`. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** Clients call a server by few names; who writes many into the header is none of them. */
const MAX_NAMES = 64;

/** Where this server is as clients see it, without a path: from their `Host` headers, which anyone may write anything into. */
export class Origins {
  readonly #plain = new Map<string, string>();
  readonly #secure = new Map<string, string>();

  /** @throws HttpError 400 when the header names no host */
  of({ headers: { host }, socket }: IncomingMessage): string {
    const isSecure = socket instanceof TLSSocket;
    const known = isSecure ? this.#secure : this.#plain;
    let origin = host === undefined ? undefined : known.get(host);
    if (origin !== undefined) return origin;
    origin = originOf(isSecure ? 'https' : 'http', host);
    if (known.size >= MAX_NAMES) known.clear();
    known.set(host as string, origin);
    return origin;
  }
}

function originOf(scheme: string, host: string | undefined): string {
  if (host !== undefined && HOST.test(host) && !host.includes('..')) {
    const origin = `${scheme}://${host.toLowerCase()}`;
    if (URL.canParse(origin)) return origin;
  }
  throw new HttpError(400, 'the Host header is missing or names no host');
}

/**
 * A configured URL without the slashes at its end.
 *
 * @throws NuGetError `INVALID_OPTION` for what is no URL of a web server's folder
 */
export function checkPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && !url.username && !url.password;
  if (!isPlain || url.search !== '' || url.hash !== '') {
    throw new NuGetError('INVALID_OPTION', 'publicUrl must be an http or https URL without credentials and query');
  }
  return url.href.replace(/\/+$/, '');
}
