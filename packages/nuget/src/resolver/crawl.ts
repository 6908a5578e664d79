import type { Catalog } from './catalog.js';
import type { Edge, IdSet, PackageNode } from './nodes.js';

/** What decides whether a dependency of a package has to be looked at. */
interface Place {
  /** The ids that something nearer to the root decides, on every way to the package that is known yet. */
  decided: IdSet;
  /** Length of the shortest way to it. */
  depth: number;
}

/**
 * Asks for all that a graph may be made of. A range is asked for as soon as one package that needs it is there, so that
 * what this takes is a matter of depth and not of number, and it is not asked for where something nearer to the root
 * decides on every way to it.
 *
 * Ways are not told apart: a package's place only ever gets wider, until it has what all ways to it have in common. That
 * is never too little, seldom too much, and the same in whatever order the answers come.
 */
export class Crawl {
  readonly #catalog: Catalog;
  readonly #maxDepth: number;
  readonly #places = new Map<PackageNode, Place>();
  readonly #asked = new Set<Edge>();
  readonly #widened: PackageNode[] = [];
  readonly #end: () => void;
  /** Ends the wait; what was asked already is the catalog's to end. */
  readonly fail: (error: unknown) => void;
  /** Settled when nothing is left to ask, or when something failed that ends all. */
  readonly done: Promise<void>;
  #pending = 0;

  constructor(catalog: Catalog, root: PackageNode, maxDepth: number) {
    this.#catalog = catalog;
    this.#maxDepth = maxDepth;
    const { promise, resolve, reject } = withResolvers();
    this.done = promise;
    this.#end = resolve;
    this.fail = reject;
    this.#widen(root, 0n, 0);
    this.#expand();
  }

  #widen(pkg: PackageNode, decided: IdSet, depth: number): void {
    const place = this.#places.get(pkg);
    if (place === undefined) {
      this.#places.set(pkg, { decided, depth });
    } else {
      const common = place.decided & decided;
      if (common === place.decided && depth >= place.depth) return;
      place.decided = common;
      place.depth = Math.min(depth, place.depth);
    }
    this.#widened.push(pkg);
  }

  #expand(): void {
    for (let pkg = this.#widened.pop(); pkg !== undefined; pkg = this.#widened.pop()) {
      const place = this.#places.get(pkg);
      if (place === undefined || place.depth >= this.#maxDepth) continue;
      const below = place.decided | pkg.bit | pkg.needs;
      for (const edge of pkg.edges) {
        if ((place.decided & edge.bit) !== 0n || edge.bit === pkg.bit) continue;
        if (edge.answer === undefined) this.#ask(edge, pkg);
        else if (edge.answer.kind === 'package') this.#widen(edge.answer.pkg, below, place.depth + 1);
      }
    }
    if (this.#pending === 0) this.#end();
  }

  #ask(edge: Edge, pkg: PackageNode): void {
    if (this.#asked.has(edge)) return;
    this.#asked.add(edge);
    this.#pending++;
    this.#catalog
      .answer(edge)
      .then((answer) => {
        edge.answer = answer;
        this.#pending--;
        this.#widened.push(pkg);
        this.#expand();
      })
      .catch(this.fail);
  }
}

function withResolvers() {
  let resolve: () => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
