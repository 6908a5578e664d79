import { runInNewContext } from 'node:vm';
import type { Layer } from '../../layer.js';

/** The promises of another realm, as Node's own are in the contexts that jest runs tests in. */
const ForeignPromise: PromiseConstructor = runInNewContext('Promise');

/** Has no more than a `then`, as queries have that begin when they are asked for their result. */
const query = <T>(ask: () => T): Promise<T> =>
  ({
    // biome-ignore lint/suspicious/noThenProperty: such queries are what it stands for
    then: (resolve: (value: T) => unknown, reject: (error: unknown) => unknown) =>
      new Promise<T>((done) => done(ask())).then(resolve, reject),
  }) as Promise<T>;

/** How a layer answers that isn't as this realm's `async` functions do. */
export const FOREIGN_ANSWERS = {
  'promises of another realm': <T>(answer: () => T) =>
    new ForeignPromise<T>((resolve) => setImmediate(() => resolve(new Promise((done) => done(answer()))))),
  queries: query,
} as const;

const METHODS = [
  'get',
  'getEntry',
  'getMany',
  'set',
  'setMany',
  'delete',
  'deleteMany',
  'clear',
  'clearPrefix',
  'close',
];

/** A layer whose answers are made by `answering`; it hasn't the optional methods that the one inside hasn't. */
export function foreignLayer<V>(layer: Layer<V>, answering: <T>(answer: () => T) => unknown): Layer<V> {
  const methods = METHODS.flatMap((name) => {
    const method: unknown = Reflect.get(layer, name);
    if (typeof method !== 'function') return [];
    return [[name, (...args: unknown[]) => answering(() => Reflect.apply(method, layer, args))]];
  });
  return { name: layer.name, lifetime: layer.lifetime, ...Object.fromEntries(methods) };
}
