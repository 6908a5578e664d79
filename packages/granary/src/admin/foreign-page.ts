import type { IncomingHttpHeaders } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { isLocal } from '../access/connection.js';

/**
 * Whether a request looks as if a page of another site had a browser on this machine send it. Such a page can reach
 * what listens on loopback, where no credentials are asked for: it could not read the answer, but change things and
 * have costly ones made; under a name of its own that it lets point to 127.0.0.1 it could even read.
 */
export function comesFromForeignPage(headers: IncomingHttpHeaders, socket: Socket): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const { host = '', origin, authorization } = headers;
  if (origin !== undefined && hostOf(origin) !== host) return true;
  return authorization === undefined && isLocal(socket) && !isOwnName(host);
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Whether a host is an address or a name that nobody else can give out. */
function isOwnName(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return (
    name === '' ||
    isIP(name) !== 0 ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === hostname().toLowerCase()
  );
}
