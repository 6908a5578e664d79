import { type NuGetErrorCode, SourceError } from '../../errors.js';
import { checkPackageId, type PackageIdentity } from '../../package-identity.js';
import type { PushedPackage, PushOptions } from '../provider.js';
import { below, shownUrl } from './endpoint-url.js';
import { packageForm } from './package-form.js';
import type { V3Source } from './v3-source.js';

const DEFAULT_TIMEOUT_MS = 5 * 60_000;
/** What gallery software asks of whoever pushes: clients of older protocols are refused. */
const PROTOCOL_VERSION = '4.1.0';

/** What the statuses of refusals mean, and how a sentence about them ends. */
const REFUSALS = {
  400: ['INVALID_PACKAGE', 'it is no valid package there'],
  401: ['UNAUTHORIZED', 'it wants an API key or other credentials'],
  403: ['FORBIDDEN', 'the API key or the credentials are wrong, have expired, or may not do this'],
  404: ['UNSUPPORTED', 'there is nothing at its URL for packages'],
  405: ['UNSUPPORTED', 'its URL for packages takes none'],
  409: ['CONFLICT', 'this id and version is there already'],
  413: ['LIMIT', 'the package is too large'],
} as const satisfies Readonly<Record<number, readonly [code: NuGetErrorCode, why: string]>>;

/** Pushes packages, and takes them off the list or puts them on it again. */
export class Publish {
  readonly #source: V3Source;

  constructor(source: V3Source) {
    this.#source = source;
  }

  /**
   * Uploads a package, streamed.
   *
   * @throws SourceError as its status says: `UNAUTHORIZED`, `FORBIDDEN`, `CONFLICT`, `LIMIT`, `INVALID_PACKAGE`;
   *   `PACKAGE_NOT_FOUND` for symbols of a package that the source hasn't got
   */
  async push(pkg: PushedPackage, options: PushOptions = {}): Promise<void> {
    const symbols = options.symbols === true;
    const endpoint = await this.#endpoint(symbols, options);
    const form = packageForm(pkg, symbols ? 'package.snupkg' : 'package.nupkg');
    const headers = { 'content-type': form.contentType, 'content-length': String(form.length) };
    // NuGet's own client puts a slash behind the URL, so feeds must take that; some that others test take nothing else.
    const urls = [below(endpoint, ''), endpoint];
    let status = 0;
    for (const url of new Set(urls)) {
      status = await this.#send('PUT', url, options, `push ${pkg.name}`, headers, form.open);
      if (status !== 404 && status !== 405) return;
    }
    if (symbols && status === 404) {
      throw this.#source.error(
        'PACKAGE_NOT_FOUND',
        `can't push ${pkg.name}: the package that it belongs to isn't there`,
        404,
      );
    }
    throw this.#refusal(status === 404 ? 404 : 405, `push ${pkg.name}`);
  }

  /** Deletes or unlists, as the source has it; false when it isn't there. */
  async delete(identity: PackageIdentity, options: PushOptions = {}): Promise<boolean> {
    return await this.#change('DELETE', identity, options);
  }

  /** Lists a version again that was unlisted; false when it isn't there. */
  async relist(identity: PackageIdentity, options: PushOptions = {}): Promise<boolean> {
    return await this.#change('POST', identity, options);
  }

  async #change(method: 'DELETE' | 'POST', { id, version }: PackageIdentity, options: PushOptions): Promise<boolean> {
    const url = below(await this.#endpoint(false, options), checkPackageId(id), version.toNormalizedString());
    const what = `${method === 'POST' ? 'relist' : 'delete'} ${id} ${version.toNormalizedString()}`;
    const status = await this.#send(method, url, options, what);
    if (status === 405) throw this.#refusal(405, what);
    return status !== 404;
  }

  /** Where packages are taken. There is no second try at another endpoint: the first may have taken the package. */
  async #endpoint(symbols: boolean, { apiKey, symbols: _, timeoutMs: __, ...options }: PushOptions): Promise<string> {
    const [endpoint] = this.#source.endpoints(await this.#source.index(options), symbols ? 'symbolPublish' : 'publish');
    if (apiKey !== undefined && this.#source.feed.url.startsWith('https:') && !endpoint.startsWith('https:')) {
      throw this.#source.error('PROTOCOL', `the API key would go to ${shownUrl(endpoint)} unencrypted`);
    }
    return endpoint;
  }

  async #send(
    method: 'PUT' | 'DELETE' | 'POST',
    url: string,
    options: PushOptions,
    what: string,
    more: Readonly<Record<string, string>> = {},
    body?: Parameters<V3Source['feed']['send']>[1]['body'],
  ): Promise<number> {
    const { apiKey, symbols: _, timeoutMs = DEFAULT_TIMEOUT_MS, ...call } = options;
    const headers: Record<string, string> = {
      ...more,
      'x-nuget-protocol-version': PROTOCOL_VERSION,
      'x-nuget-client-version': this.#source.clientVersion.toNormalizedString(),
    };
    if (apiKey !== undefined && apiKey !== '') headers['x-nuget-apikey'] = apiKey;
    try {
      return await this.#source.feed.send(url, { ...call, method, headers, body, timeoutMs });
    } catch (error) {
      if (!(error instanceof SourceError) || error.statusCode === undefined) throw error;
      if (error.statusCode === 405) return 405;
      throw isRefusal(error.statusCode) ? this.#refusal(error.statusCode, what, error) : error;
    }
  }

  #refusal(status: keyof typeof REFUSALS, what: string, cause?: SourceError): SourceError {
    const [code, why] = REFUSALS[status];
    // What the source itself says of it is in the cause's message, behind the source's name.
    const said = cause === undefined ? '' : ` (${cause.message.slice(cause.source.length + 2)})`;
    return this.#source.error(code, `can't ${what}: ${why}${said}`, status, cause);
  }
}

function isRefusal(status: number): status is keyof typeof REFUSALS {
  return Object.hasOwn(REFUSALS, status);
}
