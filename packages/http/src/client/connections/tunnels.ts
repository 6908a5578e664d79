import { isIP, type Socket } from 'node:net';
import { ProxyError } from '../../proxy-error.js';
import type { ProxyCredentials, ProxyServer } from './proxies.js';

/** The server at the other end. An address of IPv6 has no brackets. */
export interface TunnelEnd {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Has the proxy at the other end of this connection pass on all that follows, to this server. What it answers may have
 * `maxBytes`.
 */
export async function openTunnel(socket: Socket, proxy: ProxyServer, to: TunnelEnd, maxBytes: number): Promise<void> {
  if (proxy.protocol !== 'socks5:') {
    await exchange(socket, connectRequest(proxy, to), maxBytes, connectAnswer);
    return;
  }
  const { credentials } = proxy;
  const methods = credentials === undefined ? [NO_CREDENTIALS] : [NO_CREDENTIALS, PASSWORD];
  const method = await exchange(socket, Buffer.from([SOCKS, methods.length, ...methods]), maxBytes, socksMethod);
  if (method === PASSWORD && credentials !== undefined)
    await exchange(socket, socksCredentials(credentials), maxBytes, socksAdmission);
  else if (method !== NO_CREDENTIALS) throw new ProxyError('the proxy wants other credentials');
  await exchange(socket, socksConnect(to), maxBytes, socksAnswer);
}

/** `Basic` credentials, as a proxy of HTTP takes them. */
export const basic = ({ username, password }: ProxyCredentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

/** How many bytes an answer has, and what it says; undefined where it isn't whole yet. */
type Parse<T> = (received: Buffer) => { readonly length: number; readonly value: T } | undefined;

/** Asks, and waits for one answer, behind which nothing may follow: on all that is tunnelled here clients speak first. */
function exchange<T>(socket: Socket, request: Uint8Array | string, maxBytes: number, parse: Parse<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const settle = (outcome: () => void) => {
      socket.pause().off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd);
      outcome();
    };
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      try {
        const answer = parse(received);
        if (answer !== undefined && answer.length < received.length)
          throw new ProxyError('the proxy says more than it was asked');
        if (answer !== undefined) settle(() => resolve(answer.value));
        else if (received.length > maxBytes) throw new ProxyError('the answer of the proxy is too long');
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onError = (error: Error) => settle(() => reject(error));
    const onEnd = () => settle(() => reject(new ProxyError('the proxy closed the connection')));
    socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd);
    socket.resume().write(request);
  });
}

function connectRequest({ credentials }: ProxyServer, { hostname, port }: TunnelEnd): string {
  const authority = `${isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${port}`;
  const authorization = credentials === undefined ? '' : `proxy-authorization: ${basic(credentials)}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${authorization}\r\n`;
}

const END_OF_HEAD = '\r\n\r\n';
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})/;

/** RFC 9110, 9.3.6: every 2xx opens the tunnel, and none has a body. */
function connectAnswer(received: Buffer): ReturnType<Parse<undefined>> {
  let start = 0;
  for (;;) {
    const end = received.indexOf(END_OF_HEAD, start);
    if (end < 0) return undefined;
    const status = Number(STATUS_LINE.exec(received.toString('latin1', start, end))?.[1] ?? 0);
    start = end + END_OF_HEAD.length;
    if (status < 100) throw new ProxyError('the proxy speaks no HTTP');
    if (status >= 200 && status < 300) return { length: start, value: undefined };
    if (status >= 200) throw new ProxyError(`the proxy refuses the tunnel with status ${status}`);
  }
}

// RFC 1928, and RFC 1929 for the credentials.
const SOCKS = 5;
const NO_CREDENTIALS = 0;
const PASSWORD = 2;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

const socksMethod: Parse<number> = (received) => {
  checkSocks(received);
  return received.length < 2 ? undefined : { length: 2, value: received.readUInt8(1) };
};

function socksCredentials({ username, password }: ProxyCredentials): Buffer {
  return Buffer.concat([Buffer.from([1]), lengthAndText(username), lengthAndText(password)]);
}

const socksAdmission: Parse<undefined> = (received) => {
  if (received.length < 2) return undefined;
  if (received[1] !== 0) throw new ProxyError('the proxy refuses the credentials');
  return { length: 2, value: undefined };
};

function socksConnect({ hostname, port }: TunnelEnd): Buffer {
  const portBytes = Buffer.from([port >> 8, port & 0xff]);
  return Buffer.concat([Buffer.from([SOCKS, CONNECT, 0]), socksAddress(hostname), portBytes]);
}

function socksAddress(hostname: string): Buffer {
  const family = isIP(hostname);
  if (family === 4) return Buffer.from([IPV4, ...hostname.split('.').map(Number)]);
  return family === 6
    ? Buffer.from([IPV6, ...bytesOfIpv6(hostname)])
    : Buffer.concat([Buffer.from([NAME]), lengthAndText(hostname)]);
}

/** As URLs have it: groups in hexadecimal, and at most one gap. */
function bytesOfIpv6(address: string): number[] {
  const [before = [], after = []] = address.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return groups.map((group) => Number.parseInt(group, 16)).flatMap((group) => [group >> 8, group & 0xff]);
}

function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new ProxyError('SOCKS takes names and passwords of at most 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

const REFUSALS = [
  'it failed',
  'it is not allowed',
  'the network is unreachable',
  'the host is unreachable',
  'the connection was refused',
  'the host was not reached in time',
];

const socksAnswer: Parse<undefined> = (received) => {
  checkSocks(received);
  const [, reply, , type, nameLength] = received;
  // Some end their refusal here.
  if (reply !== undefined && reply !== 0)
    throw new ProxyError(`the proxy refuses the tunnel: ${REFUSALS[reply - 1] ?? `reply ${reply}`}`);
  if (type === undefined || nameLength === undefined) return undefined;
  const length = 6 + (type === NAME ? 1 + nameLength : type === IPV6 ? 16 : 4);
  return received.length < length ? undefined : { length, value: undefined };
};

function checkSocks(received: Buffer): void {
  if (received[0] !== SOCKS) throw new ProxyError('the proxy speaks no SOCKS 5');
}
