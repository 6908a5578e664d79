import { checkPackageId, type PackageIdentity } from '../../package-identity.js';
import { below, shownUrl } from '../endpoint-url.js';
import { type GalleryRequest, refusal, sendToGallery } from '../gallery-requests.js';
import { packageForm } from '../package-form.js';
import type { PushedPackage, PushOptions } from '../provider.js';
import type { V3Source } from './v3-source.js';

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
    const what = `push ${pkg.name}`;
    let status = 0;
    for (const url of new Set(urls)) {
      status = await this.#send({ method: 'PUT', url, what, headers, body: form.open }, options);
      if (status !== 404 && status !== 405) return;
    }
    if (symbols && status === 404) {
      throw this.#source.error('PACKAGE_NOT_FOUND', `can't ${what}: the package that it belongs to isn't there`, 404);
    }
    throw refusal(this.#source.feed.name, status === 404 ? 404 : 405, what);
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
    const status = await this.#send({ method, url, what }, options);
    if (status === 405) throw refusal(this.#source.feed.name, 405, what);
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

  #send(request: GalleryRequest, options: PushOptions): Promise<number> {
    const { feed, clientVersion } = this.#source;
    const headers = { ...request.headers, 'x-nuget-client-version': clientVersion.toNormalizedString() };
    return sendToGallery(feed, { ...request, headers }, options);
  }
}
