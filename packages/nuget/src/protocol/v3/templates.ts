import type { PackageIdentity } from '../../package-identity.js';
import type { NuGetVersion } from '../../versions/nuget-version.js';
import { httpUrl } from '../endpoint-url.js';
import type { ServiceIndex, ServiceResource } from './service-index.js';

/** A template whose holes come after the host: whatever is in them, it stays on that host. */
const HOST_FIRST = /^https?:\/\/[^/?#{]+\//i;

/** A URL with holes, as service indexes have them: `https://feed/{id}/{version}`. Names of holes have no case. */
export class UriTemplate {
  readonly #parts: readonly string[];
  readonly #base: string;
  readonly #isHostFirst: boolean;

  /** @param base URL that relative templates are seen from. */
  constructor(text: string, base: string) {
    // Odd parts are names of holes.
    this.#parts = text.split(/\{([a-z_]+)\}/i);
    this.#base = base;
    this.#isHostFirst = HOST_FIRST.test(text) && httpUrl(text, base) !== undefined;
  }

  /** The URL with the values, encoded, in its holes; undefined when that isn't http or https. */
  expand(values: Readonly<Record<string, string>>): string | undefined {
    let text = this.#parts[0] as string;
    for (let i = 1; i < this.#parts.length; i += 2) {
      const name = (this.#parts[i] as string).toLowerCase();
      text += Object.hasOwn(values, name) ? encodeURIComponent(values[name] as string) : `{${this.#parts[i]}}`;
      text += this.#parts[i + 1];
    }
    if (this.#isHostFirst) return text;
    return httpUrl(text, this.#base);
  }
}

/** Web pages that belong to packages, as far as a source names any. Nobody looks whether they are there. */
export class PackagePages {
  readonly #templates: Partial<Record<ServiceResource, UriTemplate>> = {};

  constructor(index: ServiceIndex, client: NuGetVersion) {
    for (const resource of ['reportAbuse', 'packageDetails', 'readme', 'ownerDetails'] as const) {
      const endpoint = index.endpoints(resource, client)[0];
      if (endpoint !== undefined) this.#templates[resource] = new UriTemplate(endpoint.text, index.url);
    }
  }

  /** Where abuse of a package is reported. */
  reportAbuse(identity: PackageIdentity): string | undefined {
    return this.#templates.reportAbuse?.expand(valuesOf(identity));
  }

  /** What people read about a package. */
  details(identity: PackageIdentity): string | undefined {
    return this.#templates.packageDetails?.expand(valuesOf(identity));
  }

  /** The readme of a package, as a document. */
  readme(identity: PackageIdentity): string | undefined {
    return this.#templates.readme?.expand(valuesOf(identity));
  }

  /** What people read about an owner of packages. */
  owner(name: string): string | undefined {
    return this.#templates.ownerDetails?.expand({ owner: name });
  }
}

function valuesOf({ id, version }: PackageIdentity): Readonly<Record<string, string>> {
  const normalized = version.toNormalizedString();
  return { id, version: normalized, lower_id: id.toLowerCase(), lower_version: normalized.toLowerCase() };
}
