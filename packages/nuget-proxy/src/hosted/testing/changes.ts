import { createHash } from 'node:crypto';
import { buildPackage } from '@granary/nuget/testing';

/** What happens to one version. */
export interface Change {
  readonly what: 'push' | 'delete' | 'relist';
  readonly id: string;
  readonly version: string;
}

/**
 * The change with a number: two of three are pushes, the others unlist or list what was pushed a few changes before.
 *
 * @param first number of the first change of this run: nothing of earlier runs is changed
 */
export function changeOf(worker: number, number: number, first: number): Change {
  const isPush = number % 3 !== 2 || number - first < 4;
  const what = isPush ? 'push' : number % 2 === 0 ? 'delete' : 'relist';
  // The numbers 3 and 4 below one of the third kind are pushes.
  const target = isPush ? number : number - 3 - (number % 4 < 2 ? 1 : 0);
  const version = target % 3 === 2 ? target - 1 : target;
  return { what, id: `Contoso.${worker}`, version: `1.${version}.0${isPush && number % 3 === 2 ? '-extra' : ''}` };
}

/** The same bytes for the same version, a few files' worth of them. */
export function contentOf(id: string, version: string): Buffer {
  const seed = createHash('sha512').update(`${id}/${version}`).digest();
  return buildPackage({ id, version, files: { 'lib/net8.0/a.bin': Buffer.concat(Array(100).fill(seed)) } });
}
