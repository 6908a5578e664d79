import { readFile } from 'node:fs/promises';
import { type MaybePromise, type OperationOptions, RemoteStoreError } from '@granary/blobs';
import { Metadata } from '@grpc/grpc-js';

/** The servers that a request has passed, by which a circle of servers is noticed. */
const VIA_HEADER = 'granary-via';

const NAME = /^[0-9a-z_.-]+$/;
const VALUE = /^[\x20-\x7e]*$/;
const TOKEN = /^[\x21-\x7e]+$/;
const SERVER_ID = /^[\w.:-]{1,128}$/;

/** What the transport and this client set themselves. */
const RESERVED = new Set(['te', 'content-type', 'user-agent', 'host', 'connection', 'accept-encoding', VIA_HEADER]);

/** A token file is read again after this time; */
const TOKEN_AGE_MS = 60_000;
/** after this one when a call was refused. */
const DOUBTED_AGE_MS = 1000;
/** Largest token file that is read, in bytes: metadata has to fit into HTTP/2's headers. */
const MAX_TOKEN_BYTES = 16 * 1024;

export interface CallHeadersOptions {
  readonly tier: string;
  /** Sent with every call. */
  readonly headers: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  /** In milliseconds. */
  readonly clock: () => number;
}

/** The metadata of every call: what is configured, a token that may change, and what belongs to the caller. */
export class CallHeaders {
  readonly #tier: string;
  readonly #tokenFile: string | undefined;
  readonly #clock: () => number;
  readonly #headers: Readonly<Record<string, string>>;
  #token: string | undefined;
  #metadata: Metadata;
  #readAt = Number.NEGATIVE_INFINITY;
  #ageMs = TOKEN_AGE_MS;
  #reading: Promise<void> | undefined;

  /** @throws RangeError that names the header or option that is wrong, never its value */
  constructor({ tier, headers, token, tokenFile, clock }: CallHeadersOptions) {
    checkHeaders(headers);
    if (token !== undefined && tokenFile !== undefined) throw new RangeError('give token or tokenFile, not both');
    if ((token ?? tokenFile) !== undefined && 'authorization' in headers)
      throw new RangeError('give headers.authorization or a token, not both');
    if (token !== undefined && !TOKEN.test(token))
      throw new RangeError('token is empty or has characters that no header takes');
    this.#tier = tier;
    this.#headers = headers;
    this.#tokenFile = tokenFile;
    this.#clock = clock;
    this.#token = token;
    this.#metadata = this.#build();
  }

  /**
   * Of one call. The result must not be changed, it may be that of other calls too.
   *
   * @throws RemoteStoreError `refused` when there is no token because its file can't be read
   */
  for(options: OperationOptions | undefined): MaybePromise<Metadata> {
    if (this.#tokenFile !== undefined && this.#clock() - this.#readAt >= this.#ageMs)
      return this.#refresh(this.#tokenFile).then(() => this.#with(options));
    return this.#with(options);
  }

  /** The peer refused the credentials: a token in a file may be a new one by now. */
  doubt(): void {
    this.#ageMs = DOUBTED_AGE_MS;
  }

  /** A peer's text without the credentials that it may quote. */
  redact(text: string): string {
    const secrets = [this.#token, ...Object.values(this.#headers)];
    return secrets.reduce<string>(
      (clean, secret) => (secret && secret.length > 7 ? clean.replaceAll(secret, '…') : clean),
      text,
    );
  }

  #with(options: OperationOptions | undefined): Metadata {
    const { via, span } = options ?? {};
    if (!via?.length && !span) return this.#metadata;
    const metadata = this.#metadata.clone();
    const ids = via?.filter((id) => SERVER_ID.test(id));
    if (ids?.length) metadata.set(VIA_HEADER, ids.join(','));
    span?.inject((name, value) => {
      if (NAME.test(name) && !name.endsWith('-bin') && VALUE.test(value)) metadata.set(name, value);
    });
    return metadata;
  }

  #build(): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(this.#headers)) metadata.set(name, value);
    if (this.#token !== undefined) metadata.set('authorization', `Bearer ${this.#token}`);
    return metadata;
  }

  /** Once for all calls that wait for it. A token that was read before goes on while its file can't be read. */
  #refresh(file: string): Promise<void> {
    this.#reading ??= readToken(file)
      .then(
        (token) => {
          this.#readAt = this.#clock();
          this.#ageMs = TOKEN_AGE_MS;
          if (token === this.#token) return;
          this.#token = token;
          this.#metadata = this.#build();
        },
        (cause: unknown) => {
          if (this.#token !== undefined) this.#readAt = this.#clock();
          else throw new RemoteStoreError(this.#tier, 'refused', `the token file ${file} gives no token`, { cause });
        },
      )
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }
}

async function readToken(file: string): Promise<string> {
  const bytes = await readFile(file);
  const token = bytes.length > MAX_TOKEN_BYTES ? '' : bytes.toString('utf8').trim();
  if (!TOKEN.test(token)) throw new Error('it is empty, too long, or has characters that no header takes');
  return token;
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const shown = JSON.stringify(name.slice(0, 80));
    if (!NAME.test(name)) throw new RangeError(`headers: ${shown} is no name of a header in lower case`);
    if (RESERVED.has(name) || name.startsWith('grpc-') || name.endsWith('-bin'))
      throw new RangeError(`headers: ${shown} can't be set`);
    if (!VALUE.test(value)) throw new RangeError(`headers: the value of ${shown} has characters that no header takes`);
  }
}
