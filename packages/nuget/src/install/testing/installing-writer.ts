import { NuGetClient } from '../../source/nuget-client.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { clientPackages } from '../client-packages.js';
import { PackageInstaller } from '../package-installer.js';

/**
 * Installs packages in version 1.0.0 and prints what happens: `KIND ID` for each event, at the end `OUTCOME ID` for each
 * package. Run as a process of its own: `node installing-writer.js FOLDER SOURCE_URL ID…`.
 */
const [folder = '', sourceUrl = '', ...ids] = process.argv.slice(2);
const version = NuGetVersion.parse('1.0.0');
await using client = new NuGetClient({ sources: [{ name: 'feed', sourceUrl }] });
const installer = new PackageInstaller({ folder, packages: clientPackages(client), maxParallel: 3 });
const results = await installer.install(
  ids.map((id) => ({ id, version })),
  { onEvent: ({ kind, identity }) => process.stdout.write(`${kind} ${identity.id}\n`) },
);
for (const { identity, outcome, error } of results) process.stdout.write(`${outcome} ${identity.id} ${error ?? ''}\n`);
