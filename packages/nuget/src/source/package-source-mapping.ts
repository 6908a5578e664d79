import { NuGetError } from '../errors.js';
import { lowerId } from '../package-identity.js';

/** A pattern is an id, the beginning of one and `*` (`Contoso.*`), or `*`. Case doesn't matter. */
export type PackagePatterns = Iterable<readonly [source: string, patterns: Iterable<string>]>;

interface Node {
  readonly sources: string[];
  isPrefix: boolean;
}

const MAX_PATTERN_LENGTH = 100;

/**
 * Which sources a package may come from. The longest pattern that fits an id decides; sources that have the same one all
 * count. Once there is any pattern, an id that none fits comes from nowhere.
 */
export class PackageSourceMapping {
  /** By the pattern in lower case, without its `*`. */
  readonly #nodes = new Map<string, Node>();

  /** @throws {@link NuGetError} `INVALID_OPTION` for a pattern that is empty or too long */
  constructor(patterns: PackagePatterns = []) {
    for (const [source, texts] of patterns) for (const text of texts) this.#add(source.trim(), text);
  }

  /** Whether there is any pattern: without one, packages come from all sources. */
  get isEnabled(): boolean {
    return this.#nodes.size > 0;
  }

  /**
   * Names of the sources for a package; undefined where any may have it.
   *
   * @throws {@link NuGetError} `INVALID_PACKAGE_ID`
   */
  sourcesFor(id: string): readonly string[] | undefined {
    if (!this.isEnabled) return undefined;
    const text = lowerId(id);
    const exact = this.#nodes.get(text);
    if (exact !== undefined) return exact.sources;
    for (let length = text.length - 1; length >= 0; length--) {
      const node = this.#nodes.get(text.slice(0, length));
      if (node?.isPrefix) return node.sources;
    }
    return [];
  }

  /** Those of the sources that a package may come from, compared by name without regard to case. */
  select<T extends { readonly name: string }>(id: string, sources: readonly T[]): readonly T[] {
    const names = this.sourcesFor(id)?.map((name) => name.toLowerCase());
    return names === undefined ? sources : sources.filter(({ name }) => names.includes(name.toLowerCase()));
  }

  #add(source: string, text: string): void {
    const pattern = text.trim().toLowerCase();
    if (pattern === '' || pattern.length > MAX_PATTERN_LENGTH) {
      throw new NuGetError(
        'INVALID_OPTION',
        `${source}: a package pattern has 1 to ${MAX_PATTERN_LENGTH} characters; this one has ${pattern.length}`,
      );
    }
    const star = pattern.indexOf('*');
    const key = star < 0 ? pattern : pattern.slice(0, star);
    const node = this.#nodes.get(key) ?? { sources: [], isPrefix: false };
    if (star >= 0) node.isPrefix = true;
    if (!node.sources.includes(source)) node.sources.push(source);
    this.#nodes.set(key, node);
  }
}
