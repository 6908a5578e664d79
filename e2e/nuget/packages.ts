import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildPackage, type PackageInit } from '@granary/nuget/testing';

/** By the names of their files: two packages as they were on nuget.org, where Debian's are installed, and some more. */
export const PACKAGES: ReadonlyMap<string, Buffer> = new Map([
  real('Newtonsoft.Json', '6.0.8'),
  real('NUnit', '2.6.4'),
  built({ id: 'Acme.Core', version: '1.0.0' }),
  built({ id: 'Acme.Core', version: '1.1.0' }),
  built({ id: 'Acme.Core', version: '2.0.0-beta' }),
  built({
    id: 'Acme.Web',
    version: '2.0.0',
    dependencies: [
      { id: 'Acme.Core', version: '1.0.0' },
      { id: 'Newtonsoft.Json', version: '6.0.8' },
    ],
  }),
]);

/** What installing `Acme.Web` comes to: with the lowest versions that do. */
export const WEB = ['Acme.Core.1.0.0.nupkg', 'Acme.Web.2.0.0.nupkg', 'Newtonsoft.Json.6.0.8.nupkg'];

/** A package with a library, by the name of its file. */
export function built(init: PackageInit): [string, Buffer] {
  const files = {
    [`lib/net40/${init.id}.dll`]: `${init.id} ${init.version}`,
    'content/readme.txt': 'Ümläute & <tags>\n',
  };
  return [`${init.id}.${init.version}.nupkg`, buildPackage({ files, ...init })];
}

/** By which packages are told apart in failures. */
export function hashes(packages: ReadonlyMap<string, Buffer>): Record<string, string> {
  const each = [...packages].map(([name, bytes]) => [name, createHash('sha512').update(bytes).digest('base64')]);
  return Object.fromEntries(each.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)));
}

/** The hashes of some of {@link PACKAGES}. */
export function hashesOf(names: Iterable<string>): Record<string, string> {
  return hashes(new Map([...names].map((name) => [name, PACKAGES.get(name) ?? Buffer.alloc(0)])));
}

function real(id: string, version: string): [string, Buffer] {
  const file = `${id}.${version}.nupkg`;
  const path = join('/usr/share/nupkg', file);
  if (existsSync(path)) return [file, readFileSync(path)];
  console.log(`A stand-in for ${file}: nupkg-${id.toLowerCase()}.${version} is not installed.`);
  return built({ id, version });
}
