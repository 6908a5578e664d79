/** A document of a folder, which has others beside it. */
const DOCUMENT = /\/[^/]+\.[^/.]+$/;

/**
 * Where a source has what its protocol is made of: its documents, packages, icons, and its pages about packages. These
 * may lie on other hosts than the one of its URL, which have other things too: what its index names counts, with all below
 * it.
 */
export class UpstreamAddresses {
  /** By host (with its port); in lower case, with a slash at the end where what begins alike may be something else. */
  readonly #folders = new Map<string, Set<string>>();

  /** @param urls http or https */
  constructor(urls: readonly string[]) {
    for (const url of urls) {
      const { host, pathname } = parsed(url) ?? {};
      if (host === undefined || pathname === undefined) continue;
      const folders = this.#folders.get(host) ?? new Set<string>();
      folders.add(folderOf(pathname.toLowerCase()));
      this.#folders.set(host, folders);
    }
  }

  has(url: string): boolean {
    const { host = '', pathname = '' } = parsed(url) ?? {};
    const folders = this.#folders.get(host);
    if (folders === undefined) return false;
    const path = `${pathname.toLowerCase()}/`;
    for (const folder of folders) if (path.startsWith(folder)) return true;
    return false;
  }
}

/** `URL.canParse` of Node 20 refuses names with umlauts once it has been compiled. */
function parsed(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

function folderOf(path: string): string {
  if (path.endsWith('/')) return path;
  return DOCUMENT.test(path) ? path.slice(0, path.lastIndexOf('/') + 1) : `${path}/`;
}
