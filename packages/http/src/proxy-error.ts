/** What a proxy refuses or does wrong. The message says what, to whoever asked for the server behind it. */
export class ProxyError extends Error {
  readonly code: 'NETWORK' | 'CERTIFICATE';

  constructor(message: string, code: ProxyError['code'] = 'NETWORK', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ProxyError';
    this.code = code;
  }
}
