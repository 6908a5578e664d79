import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { isLocal } from './connection.js';

/**
 * Whether a request says that a page of another site had a browser send it. Such a page can reach what listens on
 * loopback, where no credentials are asked for: it could not read the answer, but change things and have costly ones made.
 */
export function comesFromForeignPage(headers: IncomingHttpHeaders): boolean {
  const { host = '', origin, 'sec-fetch-site': site } = headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return origin !== undefined && hostOf(origin) !== host;
}

/**
 * Whether a request from this machine knows the server by a name that somebody else may have given out: a page of any site
 * can let a name of its own point to 127.0.0.1, and is then no page of another site to its browser.
 */
export function hasForeignName(
  { host = '' }: IncomingHttpHeaders,
  socket: Socket,
  nameOfMachine: string = hostname(),
): boolean {
  return isLocal(socket) && !isOwnName(host, nameOfMachine);
}

/**
 * Whether a page in a browser wants something changed, whatever site it is of. Browsers say so of everything but GET and
 * HEAD; build tools have no reason to.
 */
export function isChangeByPage({ method, headers }: IncomingMessage): boolean {
  return headers.origin !== undefined && method !== 'GET' && method !== 'HEAD';
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Whether a host is an address or a name that nobody else can give out. */
function isOwnName(host: string, nameOfMachine: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return (
    name === '' ||
    isIP(name) !== 0 ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === nameOfMachine.toLowerCase()
  );
}
