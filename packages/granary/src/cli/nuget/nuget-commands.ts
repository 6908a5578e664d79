import type { Command } from 'commander';
import type { CommandIo, ExitCode } from '../io.js';
import type { NuGetIo } from './run-command.js';

/** Runs what a command does: an action of commander, whose last argument but one are the options. */
export type Run = (command: (io: NuGetIo) => Promise<ExitCode>) => Promise<void>;

/** Describes a command; what it does is loaded when it is called. */
type AddCommand = (nuget: Command, run: Run) => void;

/** All commands of `granary nuget`, in the order of the help. */
const COMMANDS: readonly AddCommand[] = [addVerify, addSources, addCache];

const HELP = `
Sources and credentials come from nuget.config, as NuGet finds it; --source asks others.

Examples:
  granary nuget sources                           show which sources are asked
  granary nuget verify packages/*.nupkg           check files that should be packages
  granary nuget cache clear http-cache            ask sources anew for everything`;

/** @param done - Is told the exit code */
export function addNuGetCommands(nuget: Command, io: CommandIo, done: (code: ExitCode) => void): void {
  const run: Run = async (command) => {
    const { runCommand } = await import('./run-command.js');
    done(await runCommand(io, command));
  };
  nuget.addHelpText('after', HELP);
  for (const add of COMMANDS) add(nuget, run);
}

function addVerify(nuget: Command, run: Run): void {
  nuget
    .command('verify <file...>')
    .description('check that files are whole packages, everything in them included')
    .option('--json', 'print the results as JSON')
    .action((files: readonly string[], options) =>
      run(async (io) => (await import('./verify-packages.js')).verifyPackages(files, options, io)),
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
  ).action((options) => run(async (io) => (await import('./sources.js')).listSources(options, io)));
  settings(command('add <name> <url>', 'add one')).action((name: string, url: string, options) =>
    run(async (io) => (await import('./sources.js')).addSource(name, url, options, io)),
  );
  settings(command('update <name>', 'change one').option('--url <url>', 'where it is')).action(
    (name: string, options) => run(async (io) => (await import('./sources.js')).updateSource(name, options, io)),
  );
  command('remove <name>', 'remove one, with its credentials').action((name: string, options) =>
    run(async (io) => (await import('./sources.js')).removeSource(name, options, io)),
  );
  command('enable <name>', 'ask it again').action((name: string, options) =>
    run(async (io) => (await import('./sources.js')).enableSource(name, options, io)),
  );
  command('disable <name>', 'ask it no more').action((name: string, options) =>
    run(async (io) => (await import('./sources.js')).disableSource(name, options, io)),
  );
}

function addCache(nuget: Command, run: Run): void {
  const cache = nuget.command('cache').description('look at the folders that NuGet keeps things in, and empty them');
  withConfig(
    cache.command('list', { isDefault: true }).description('show the folders, and how much is in them'),
  ).action((options) => run(async (io) => (await import('./cache.js')).listCaches(options, io)));
  withConfig(cache.command('path <name>').description('print one folder: http-cache or global-packages')).action(
    (name: string, options) => run(async (io) => (await import('./cache.js')).showCachePath(name, options, io)),
  );
  withConfig(cache.command('clear <name>').description('empty http-cache, global-packages or all')).action(
    (name: string, options) => run(async (io) => (await import('./cache.js')).clearCache(name, options, io)),
  );
}

function withConfig(command: Command): Command {
  return command
    .option('--config-file <file>', 'the only nuget.config to read')
    .option('--json', 'print the result as JSON');
}
