import { NuGetVersion } from '../../versions/nuget-version.js';
import { VersionRange } from '../../versions/version-range.js';
import type { DependencyProvider, SelectedDependencies } from '../dependency-provider.js';

/** Packages by identity, each with what it needs: `{ 'A 1.0.0': ['B 1.0', 'C [1.0,2.0)'], 'B 1.0.0': [] }`. */
export type World = Readonly<Record<string, readonly string[]>>;

export interface Wish {
  readonly id: string;
  readonly range: VersionRange;
}

/** What a text wants: `B [1.0,2.0)`, `B`. */
export function wish(text: string): Wish {
  const [id = '', ...range] = text.split(' ');
  return { id, range: range.length === 0 ? VersionRange.all : VersionRange.parse(range.join(' ')) };
}

/** Answers from a world, and notes what it was asked. */
export class WorldProvider implements DependencyProvider {
  readonly asked: string[] = [];
  readonly #versions = new Map<string, NuGetVersion[]>();
  readonly #dependencies = new Map<string, SelectedDependencies>();
  readonly #delay: () => Promise<void> | undefined;

  constructor(world: World, delay: () => Promise<void> | undefined = () => undefined) {
    this.#delay = delay;
    for (const [identity, needs] of Object.entries(world)) {
      const [id = '', text = ''] = identity.split(' ');
      const version = NuGetVersion.parse(text);
      const key = id.toLowerCase();
      this.#versions.set(key, [...(this.#versions.get(key) ?? []), version]);
      this.#dependencies.set(`${key} ${version.toNormalizedString()}`, {
        id,
        dependencies: needs.map(wish),
        fit: 'compatible',
      });
    }
  }

  async listVersions(id: string): Promise<readonly NuGetVersion[]> {
    this.asked.push(id);
    await this.#delay();
    return this.#versions.get(id.toLowerCase()) ?? [];
  }

  async dependencies({
    id,
    version,
  }: {
    id: string;
    version: NuGetVersion;
  }): Promise<SelectedDependencies | undefined> {
    this.asked.push(`${id} ${version.toNormalizedString()}`);
    await this.#delay();
    return this.#dependencies.get(`${id.toLowerCase()} ${version.toNormalizedString()}`);
  }
}
