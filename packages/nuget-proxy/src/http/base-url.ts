import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { NuGetError } from '@granary/nuget';
import { HttpError } from './http-error.js';

/** Names, addresses and ports; nothing that could mean anything else in a URL, such as `user@`. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/**
 * Where this server is as a client sees it, without a path: from its `Host` header, which anyone may write anything into.
 *
 * @throws HttpError 400 when that is no host
 */
export function originOf({ headers, socket }: IncomingMessage): string {
  const { host } = headers;
  const scheme = socket instanceof TLSSocket ? 'https' : 'http';
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
