import type { SaxesTagNS } from 'saxes';
import type { V2Capabilities } from './v2-capabilities.js';
import { type DocumentOrigin, notXml, readXml, type XmlHandler } from './xml-document.js';

const MAX_NAMES = 10_000;
/** What may be asked of a source that doesn't say what it can be asked. */
const ALL_FUNCTIONS: ReadonlySet<string> = new Set(['search', 'findpackagesbyid', 'getupdates']);
const ALL_PROPERTIES: ReadonlySet<string> = new Set(['isabsolutelatestversion']);

/**
 * Reads `$metadata`, in whatever version of its namespaces. Small servers have one that names no set of anything, only
 * types, functions or nothing: what they don't say is taken to be there.
 *
 * @throws {@link SourceError} `PROTOCOL` for anything that doesn't describe a set of packages
 */
export function parseODataMetadata(body: Buffer, origin: DocumentOrigin): V2Capabilities {
  const reader = new MetadataReader();
  readXml(body, origin, reader);
  if (reader.isVague) {
    return { functions: reader.functions ?? ALL_FUNCTIONS, properties: reader.properties ?? ALL_PROPERTIES };
  }
  const container = reader.containers.find(({ entityType }) => entityType !== undefined);
  if (container?.entityType === undefined) throw notXml(origin, 'it describes no set of packages');
  // The type's name comes with its namespace, which has dots of its own.
  const type = container.entityType.slice(container.entityType.lastIndexOf('.') + 1);
  return { functions: container.functions, properties: reader.types.get(type) ?? new Set() };
}

interface Container {
  entityType: string | undefined;
  readonly functions: Set<string>;
}

class MetadataReader implements XmlHandler {
  readonly containers: Container[] = [];
  readonly types = new Map<string, Set<string>>();
  readonly #parents: string[] = [];
  #type: Set<string> | undefined;
  #names = 0;
  #isEdmx = false;
  #hasSets = false;

  /** Whether it is a description, but of no sets. */
  get isVague(): boolean {
    return this.#isEdmx && !this.#hasSets;
  }

  /** Those of all containers; undefined where there are none. */
  get functions(): ReadonlySet<string> | undefined {
    const all = this.containers.flatMap(({ functions }) => [...functions]);
    return all.length === 0 ? undefined : new Set(all);
  }

  /** Those of all types; undefined where there are none. */
  get properties(): ReadonlySet<string> | undefined {
    const all = [...this.types.values()].flatMap((properties) => [...properties]);
    return all.length === 0 ? undefined : new Set(all);
  }

  open(element: SaxesTagNS): void {
    const parent = this.#parents.at(-1);
    if (parent === undefined) this.#isEdmx = element.local === 'Edmx';
    if (element.local === 'EntitySet') this.#hasSets = true;
    this.#parents.push(element.local);
    const name = element.attributes['Name']?.value.toLowerCase();
    if (element.local === 'EntityContainer') this.containers.push({ entityType: undefined, functions: new Set() });
    // More than any feed has are passed over: what isn't known isn't asked for.
    if (name === undefined || ++this.#names > MAX_NAMES) return;
    if (element.local === 'EntityType') {
      this.#type = new Set();
      this.types.set(name, this.#type);
    } else if (parent === 'EntityType' && element.local === 'Property') this.#type?.add(name);
    else if (parent === 'EntityContainer') this.#inContainer(element, name);
  }

  text(): void {}

  close(): void {
    this.#parents.pop();
  }

  #inContainer(element: SaxesTagNS, name: string): void {
    const container = this.containers.at(-1);
    if (container === undefined) return;
    if (element.local === 'FunctionImport') container.functions.add(name);
    else if (element.local === 'EntitySet' && name === 'packages') {
      container.entityType = element.attributes['EntityType']?.value.toLowerCase();
    }
  }
}
