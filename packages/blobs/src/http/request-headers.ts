import type { MaybePromise, OperationOptions } from '../blob-store.js';
import type { ResolvedHttpOptions } from './options.js';

/** The servers that a request has passed, by which a circle of servers is noticed. */
const VIA_HEADER = 'granary-via';

const NAME = /^[0-9a-z!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\x20-\x7e]*$/;
const TOKEN = /^[\x21-\x7e]+$/;
const SERVER_ID = /^[\w.:-]{1,128}$/;

/** What the connection and this client set themselves. */
const RESERVED = new Set([
  ...['host', 'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['content-length', 'content-type', 'content-encoding', 'accept-encoding', 'range', VIA_HEADER],
]);

/** Shorter ones would be found in texts that have nothing to do with them. */
const SHORTEST_SECRET = 8;

/** The headers of every request: what is configured, credentials, and what belongs to the caller. */
export class RequestHeaders {
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #token: (() => MaybePromise<string>) | undefined;
  readonly #secrets: string[];

  /** @throws RangeError that names the header or option that is wrong, never its value */
  constructor({ headers, basic, token }: Pick<ResolvedHttpOptions, 'headers' | 'basic' | 'token'>) {
    checkHeaders(headers);
    const credentials = basic !== undefined || token !== undefined;
    if (credentials && 'authorization' in headers)
      throw new RangeError('give headers.authorization or other credentials, not both');
    if (typeof token === 'string' && !TOKEN.test(token))
      throw new RangeError('token is empty or has characters that no header takes');
    const authorization =
      basic === undefined
        ? typeof token === 'string' && `Bearer ${token}`
        : `Basic ${Buffer.from(basic).toString('base64')}`;
    this.#fixed = { ...headers, ...(authorization && { authorization }) };
    this.#token = typeof token === 'function' ? token : undefined;
    this.#secrets = [
      ...Object.values(this.#fixed).map((value) => value.replace(/^(Basic|Bearer) /, '')),
      ...(basic === undefined ? [] : [basic.slice(basic.indexOf(':') + 1)]),
    ].filter((secret) => secret.length >= SHORTEST_SECRET);
  }

  /** Of one request, with these of its own. */
  async for(options: OperationOptions | undefined, own: Record<string, string>): Promise<Record<string, string>> {
    const headers = { ...this.#fixed, ...own };
    if (this.#token) {
      const token = await this.#token();
      if (!TOKEN.test(token)) throw new Error('the token is empty or has characters that no header takes');
      headers['authorization'] = `Bearer ${token}`;
    }
    const ids = options?.via?.filter((id) => SERVER_ID.test(id));
    if (ids?.length) headers[VIA_HEADER] = ids.join(',');
    options?.span?.inject((name, value) => {
      const key = name.toLowerCase();
      if (NAME.test(key) && VALUE.test(value) && !(key in headers)) headers[key] = value;
    });
    return headers;
  }

  /** A server's text without the credentials that it may quote. */
  redact(text: string): string {
    return this.#secrets.reduce((clean, secret) => clean.replaceAll(secret, '…'), text);
  }
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const shown = JSON.stringify(name.slice(0, 80));
    if (!NAME.test(name)) throw new RangeError(`headers: ${shown} is no name of a header in lower case`);
    if (RESERVED.has(name)) throw new RangeError(`headers: ${shown} can't be set`);
    if (!VALUE.test(value)) throw new RangeError(`headers: the value of ${shown} has characters that no header takes`);
  }
}
