import { equivalentsOf, renamedUpTo } from './equivalent-frameworks.js';
import { type FrameworkParts, frameworkParts, isFramework, isPortable, keyOf } from './framework-parts.js';
import { parseFolder } from './parse-folder.js';
import { standardOf } from './portable-profiles.js';

/**
 * What projects can use besides their own framework: from which version of it on, and what, up to a version. Without a
 * version it holds for all of them.
 */
const SUPPORTED: readonly string[] = [
  'netcoreapp1.0: netstandard1.6',
  'netcoreapp1.1: netstandard1.7',
  'netcoreapp2.0: netstandard2.0',
  'netcoreapp3.0: netstandard2.1',
  'net45: netstandard1.1 dotnet5.2',
  'net451: netstandard1.2 dotnet5.3',
  'net46: netstandard1.3 dotnet5.4',
  'net461: netstandard2.0 dotnet5.5',
  'net462: netstandard2.0 dotnet5.6',
  'uap: netstandard1.4 dotnet5.5 netcore50 win81 wpa81',
  'uap10.0.15064: netstandard2.0',
  'netcore45: netstandard1.1 dotnet5.2',
  'netcore451: netstandard1.2 dotnet5.3',
  'netcore50: netstandard1.4 dotnet5.5',
  'win: winrt45',
  'wp8: netstandard1.0 dotnet5.1',
  'wpa81: netstandard1.2 dotnet5.3',
  'tizen30: netstandard1.6',
  'tizen40: netstandard2.0',
  'tizen60: netstandard2.1',
  'dnxcore: netstandard1.5 dotnet5.6',
  'monoandroid: netstandard2.1 dotnet5.6',
  'monomac: netstandard2.1 dotnet5.6',
  'monotouch: netstandard2.1 dotnet5.6',
  'xamarinios: netstandard2.1 dotnet5.6',
  'xamarinmac: netstandard2.1 dotnet5.6',
  'xamarintvos: netstandard2.1 dotnet5.6',
  'xamarinwatchos: netstandard2.1 dotnet5.6',
  'xamarinpsthree: netstandard2.0 dotnet5.6',
  'xamarinpsfour: netstandard2.0 dotnet5.6',
  'xamarinpsvita: netstandard2.0 dotnet5.6',
  'xamarinxboxthreesixty: netstandard2.0 dotnet5.6',
  'xamarinxboxone: netstandard2.0 dotnet5.6',
];

/** Frameworks, in lower case, whose projects can use the same version of another one. */
const SUPERSETS: ReadonlyMap<string, string> = new Map([
  ['dnx', '.NETFramework'],
  ['dnxcore', '.NETPlatform'],
  ['.netstandardapp', '.NETStandard'],
]);

interface Support {
  readonly from: FrameworkParts;
  readonly supported: readonly FrameworkParts[];
}

/** Read from the table when first wanted. */
let table: readonly Support[] | undefined;

function supportTable(): readonly Support[] {
  table ??= SUPPORTED.map((line) => {
    const [from = '', supported = ''] = line.split(': ');
    return { from: known(from), supported: supported.split(' ').map(known) };
  });
  return table;
}

function known(name: string): FrameworkParts {
  return parseFolder(name) ?? frameworkParts('Unsupported');
}

/** By the framework that was asked for: projects have one, and ask it about all of their packages. */
const closures = new WeakMap<FrameworkParts, readonly FrameworkParts[]>();

/**
 * All that projects for a framework can use, itself first: what else it is called, what it supports, and what those
 * support and are called in turn. Of each framework the highest version stands for the lower ones.
 */
export function supportedBy(target: FrameworkParts): readonly FrameworkParts[] {
  const before = closures.get(target);
  if (before !== undefined) return before;
  const found = new Map([[keyOf(target), target]]);
  // A map goes on with what is added to it meanwhile.
  for (const each of found.values()) {
    for (const other of directlySupportedBy(each)) if (!found.has(keyOf(other))) found.set(keyOf(other), other);
  }
  const all = [...found.values()];
  // The platform that .NET Standard replaced is not for portable class libraries, so this is not followed further.
  const standard = isPortable(target) ? standardOf(target.profile) : undefined;
  if (standard !== undefined) all.push(standard);
  closures.set(target, all);
  return all;
}

function directlySupportedBy(parts: FrameworkParts): FrameworkParts[] {
  const supported = [...equivalentsOf(parts), ...renamedUpTo(parts).flatMap(equivalentsOf)];
  if (parts.profile !== '') return supported;
  const lowerCase = parts.framework.toLowerCase();
  const subset = SUPERSETS.get(lowerCase);
  if (subset !== undefined) supported.push(frameworkParts(subset, parts.version));
  for (const { from, supported: others } of supportTable()) {
    if (!isFramework(from, lowerCase) || from.version.compareTo(parts.version) > 0) continue;
    supported.push(...others);
  }
  return supported;
}
