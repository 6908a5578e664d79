/** Where a listener listens. */
export interface ListenAddress {
  /** A host name or an IP address, without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

export const ADDRESS_ALLOWED = 'HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9092 or [::1]:9092; or none';

/** An address from `HOST:PORT`; a bare `:PORT` means every interface. Undefined when the text is none. */
export function parseAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || '::'), port };
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach the address. A name counts only if it is `localhost`. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^::ffff:/i, '');
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}
