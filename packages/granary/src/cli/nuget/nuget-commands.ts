import type { Command } from 'commander';
import type { CommandIo, ExitCode } from '../io.js';
import type { NuGetIo } from './run-command.js';

/** Runs what a command does: an action of commander, whose last argument but one are the options. */
type Run = (command: (io: NuGetIo) => Promise<ExitCode>) => Promise<void>;

/** Describes a command; what it does is loaded when it is called. */
type AddCommand = (nuget: Command, run: Run) => void;

/** All commands of `granary nuget`, in the order of the help. */
const COMMANDS: readonly AddCommand[] = [
  addSearch,
  addVersions,
  addInfo,
  addDeps,
  addDownload,
  addInstall,
  addWarm,
  addPush,
  addDelete,
  addVerify,
  addSources,
  addCache,
];

const HELP = `
Sources and credentials come from nuget.config, as NuGet finds it; --source asks others.

Examples:
  granary nuget search json --take 5              find packages
  granary nuget download Serilog xunit@2.* -o .   download packages into a folder
  granary nuget deps Serilog -f net8.0            show what a package brings with it
  granary nuget install Serilog 4.0 -f net8.0     install it with all that it needs
  granary nuget warm packages.lock.json           have the feed proxy fetch all of it ahead
  granary nuget push dist/*.nupkg --source feed   push packages; NUGET_API_KEY has the key
  granary nuget sources                           show which sources are asked
  granary nuget verify packages/*.nupkg           check files that should be packages
  granary nuget cache clear http-cache            ask sources anew for everything`;

const WARM_HELP = `
Files: packages.lock.json, project.assets.json and packages.config name exactly what a restore takes; of projects
(*.csproj, *.fsproj, …) the references are resolved as a restore does.`;

/** @param done - Is told the exit code */
export function addNuGetCommands(nuget: Command, io: CommandIo, done: (code: ExitCode) => void): void {
  const run: Run = async (command) => {
    const { runCommand } = await import('./run-command.js');
    done(await runCommand(io, command));
  };
  nuget.addHelpText('after', HELP);
  for (const add of COMMANDS) add(nuget, run);
}

function addSearch(nuget: Command, run: Run): void {
  withSources(nuget.command('search [query]').description('search the sources for packages'))
    .option('--prerelease', 'find prereleases, too')
    .option('--take <count>', 'how many at most (default: 20)')
    .option('--skip <count>', 'how many to leave out first')
    .option('--package-type <type>', 'only packages of a type: DotnetTool, Template, …')
    .action((query: string | undefined, options) =>
      run(async (io) => (await import('./commands/query.js')).search(query ?? '', options, io)),
    );
}

function addVersions(nuget: Command, run: Run): void {
  withSources(nuget.command('versions <id>').description('list the versions of a package, the highest last'))
    .option('--prerelease', 'prereleases, too')
    .option('--take <count>', 'only so many of the highest')
    .action((id: string, options) =>
      run(async (io) => (await import('./commands/query.js')).versions(id, options, io)),
    );
}

function addInfo(nuget: Command, run: Run): void {
  withSources(nuget.command('info <id> [version]').description('show what the sources say of a package'))
    .option('--prerelease', 'the newest may be a prerelease')
    .action((id: string, version: string | undefined, options) =>
      run(async (io) => (await import('./commands/query.js')).info(id, version, options, io)),
    );
}

function addDeps(nuget: Command, run: Run): void {
  const description = 'show what a package brings with it into a project, and what is wrong with that';
  withFramework(nuget.command('deps <id> [range]').description(description)).action(
    (id: string, range: string | undefined, options) =>
      run(async (io) => (await import('./commands/deps.js')).deps(id, range, options, io)),
  );
}

function addInstall(nuget: Command, run: Run): void {
  const description = 'install a package with all that it needs where restores find it';
  withFramework(nuget.command('install <id> [version]').description(description))
    .option('--packages <folder>', 'folder of packages (default: the one that restores share)')
    .option('-o, --output <folder>', 'the same')
    .option('--concurrency <count>', 'how many at the same time (default: 8)')
    .action((id: string, version: string | undefined, options) =>
      run(async (io) => (await import('./commands/install.js')).install(id, version, options, io)),
    );
}

function addWarm(nuget: Command, run: Run): void {
  const description = 'have a feed proxy fetch ahead what a restore of these files asks it for';
  withSource(
    nuget.command('warm <file...>').description(description),
    'URL of the proxy, or its name in nuget.config (default: the one on port 8080 here)',
  )
    .option('--concurrency <count>', 'how many at the same time (default: 8)')
    .addHelpText('after', WARM_HELP)
    .action((files: readonly string[], options) =>
      run(async (io) => (await import('./commands/warm.js')).warm(files, options, io)),
    );
}

function addDownload(nuget: Command, run: Run): void {
  withSources(nuget.command('download <id[@version]...>').description('download packages into a folder'))
    .option('-o, --output <folder>', 'the folder (default: the working directory)')
    .option('--prerelease', 'the newest may be a prerelease')
    .option('--concurrency <count>', 'how many at the same time (default: 8)')
    .action((specs: readonly string[], options) =>
      run(async (io) => (await import('./commands/download.js')).download(specs, options, io)),
    );
}

function addPush(nuget: Command, run: Run): void {
  withPushing(nuget.command('push <file...>').description('push packages to a source'))
    .option('--skip-duplicate', 'pass over packages that are there already')
    .option('--timeout <seconds>', 'longest time for one package (default: 300)')
    .action((files: readonly string[], options) =>
      run(async (io) => (await import('./commands/push.js')).push(files, options, io)),
    );
}

function addDelete(nuget: Command, run: Run): void {
  withPushing(nuget.command('delete <id> <version>').description('delete or hide a version in a source')).action(
    (id: string, version: string, options) =>
      run(async (io) => (await import('./commands/push.js')).deletePackage(id, version, options, io)),
  );
}

function addVerify(nuget: Command, run: Run): void {
  nuget
    .command('verify <file...>')
    .description('check that files are whole packages, everything in them included')
    .option('--json', 'print the results as JSON')
    .action((files: readonly string[], options) =>
      run(async (io) => (await import('./commands/verify-packages.js')).verifyPackages(files, options, io)),
    );
}

function addSources(nuget: Command, run: Run): void {
  const sources = nuget.command('sources').description('look at the sources of nuget.config, and change them');
  const command = (name: string, description: string) => withConfig(sources.command(name).description(description));
  const settings = (added: Command) =>
    added
      .option('--protocol-version <version>', 'protocol that the source speaks: 2 or 3')
      .option('--allow-insecure-connections', 'plain http is fine for this source')
      .option('--username <name>', 'who asks')
      .option('--password-env <name>', 'environment variable that has the password; only its name is written')
      .option('--password-stdin', 'take the password from standard input; it is written in clear text')
      .option('--valid-authentication-types <list>', 'schemes that the credentials are for: basic, …');
  withConfig(
    sources.command('list', { isDefault: true }).description('show them, in the order in which they are asked'),
  ).action((options) => run(async (io) => (await import('./commands/sources.js')).listSources(options, io)));
  settings(command('add <name> <url>', 'add one')).action((name: string, url: string, options) =>
    run(async (io) => (await import('./commands/sources.js')).addSource(name, url, options, io)),
  );
  settings(command('update <name>', 'change one').option('--url <url>', 'where it is')).action(
    (name: string, options) =>
      run(async (io) => (await import('./commands/sources.js')).updateSource(name, options, io)),
  );
  command('remove <name>', 'remove one, with its credentials').action((name: string, options) =>
    run(async (io) => (await import('./commands/sources.js')).removeSource(name, options, io)),
  );
  command('enable <name>', 'ask it again').action((name: string, options) =>
    run(async (io) => (await import('./commands/sources.js')).enableSource(name, options, io)),
  );
  command('disable <name>', 'ask it no more').action((name: string, options) =>
    run(async (io) => (await import('./commands/sources.js')).disableSource(name, options, io)),
  );
}

function addCache(nuget: Command, run: Run): void {
  const cache = nuget.command('cache').description('look at the folders that NuGet keeps things in, and empty them');
  withConfig(
    cache.command('list', { isDefault: true }).description('show the folders, and how much is in them'),
  ).action((options) => run(async (io) => (await import('./commands/cache.js')).listCaches(options, io)));
  withConfig(cache.command('path <name>').description('print one folder: http-cache or global-packages')).action(
    (name: string, options) =>
      run(async (io) => (await import('./commands/cache.js')).showCachePath(name, options, io)),
  );
  withConfig(cache.command('clear <name>').description('empty http-cache, global-packages or all')).action(
    (name: string, options) => run(async (io) => (await import('./commands/cache.js')).clearCache(name, options, io)),
  );
}

/** The options of commands that resolve what a package needs. */
function withFramework(command: Command): Command {
  return withSources(command)
    .requiredOption('-f, --framework <framework>', 'target framework: net8.0, netstandard2.0, net472, …')
    .option('--prerelease', 'the newest may be a prerelease')
    .option('--audit [severity]', 'warn of known vulnerabilities, from low, moderate, high or critical on');
}

/** The options of commands that ask sources. */
function withSources(command: Command): Command {
  const description = 'name or URL of a source to ask; may be there several times';
  return withSource(command, description).option('--no-cache', 'ask the sources for everything anew');
}

function withSource(command: Command, description: string): Command {
  const collect = (value: string, all: readonly string[] = []) => [...all, value];
  return withConfig(command).option('--source <source>', description, collect);
}

function withPushing(command: Command): Command {
  return withSource(command, 'name or URL of the one source (default: defaultPushSource of nuget.config)')
    .option('--no-cache', 'ask the source for everything anew')
    .option('--api-key <key>', 'default: GRANARY_NUGET_API_KEY, NUGET_API_KEY, else that of nuget.config');
}

function withConfig(command: Command): Command {
  return command
    .option('--config-file <file>', 'the only nuget.config to read')
    .option('--json', 'print the result as JSON');
}
