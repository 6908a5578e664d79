import { Command, CommanderError } from 'commander';
import type { LoadedConfig } from '../config/load.js';
import { granaryVersion } from '../version.js';
import { takeConfigFlags } from './config-flags.js';
import type { CommandIo, ExitCode } from './io.js';

const EXAMPLES = `
Configuration keys are flags, too:
  granary serve --storage.max_size 100GiB --listen.grpc 0.0.0.0:9092

Examples:
  granary serve                           serve on loopback, with the defaults
  granary serve --config granary.yaml     serve as a file says
  granary config check -c granary.yaml    report every mistake in a file
  granary config print                    show every key, its value and where it comes from
  granary stats                           ask the running server how it is doing
  granary verify --repair                 check what is stored, and remove what is damaged
  granary nuget search json               ask the sources of nuget.config`;

const SERVE_HELP = `
Configuration keys are flags, too, such as --storage.max_size 100GiB; granary config print shows all of them.`;

/** What the commands have in common. */
interface CommandContext {
  readonly io: CommandIo;
  /** The configuration, from this file or the one that the environment names. */
  readonly load: (file: string | undefined) => Promise<LoadedConfig>;
  readonly exitWith: (code: ExitCode) => void;
}

/** Runs the command line and answers with the exit code. Commands are loaded when they are called. */
export async function run(words: readonly string[], io: CommandIo): Promise<ExitCode> {
  const { flags, rest } = takeConfigFlags(words);
  let exitCode: ExitCode = 0;
  const context: CommandContext = {
    io,
    async load(file) {
      const { loadConfig } = await import('../config/load.js');
      // An empty variable is one that is not set.
      return loadConfig({
        file: file ?? (io.environment['GRANARY_CONFIG'] || undefined),
        environment: io.environment,
        flags,
      });
    },
    exitWith(code) {
      exitCode = code;
    },
  };
  const program = new Command('granary')
    .description('The artifact cache that stands between builds and the network.')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', EXAMPLES)
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride();
  addVersion(program);
  addServe(program, context);
  addConfig(program, context);
  addVerify(program, context);
  addStats(program, context);
  const nuget = program.command('nuget').description('search, download, push and look after NuGet packages');
  // Its commands have their options described only for whoever asks for them.
  if (rest.includes('nuget')) {
    // After one of them --version means that of a package to most, who must not be told Granary's as a success.
    for (const command of [program, nuget]) command.enablePositionalOptions();
    addVersion(nuget);
    (await import('./nuget/nuget-commands.js')).addNuGetCommands(nuget, io, context.exitWith);
  }
  pointToHelp(program);

  try {
    if (rest.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(rest, { from: 'user' });
    return exitCode;
  } catch (error) {
    return failed(error, io);
  }
}

function addVersion(command: Command): void {
  command.version(granaryVersion(), '-V, --version', 'print the version');
}

function addServe(program: Command, { io, load, exitWith }: CommandContext): void {
  addConfigOption(program.command('serve'))
    .description('run the server')
    .addHelpText('after', SERVE_HELP)
    .action(async ({ config: file }: { config?: string }) => {
      const loaded = await load(file);
      exitWith(await (await import('./serve.js')).serve(loaded.config, io, async () => (await load(file)).config));
    });
}

function addConfig(program: Command, { io, load }: CommandContext): void {
  const config = program.command('config').description('look at the configuration');
  addConfigOption(config.command('print'))
    .description('print every key with its value and where it comes from')
    .action(async ({ config: file }: { config?: string }) => {
      const loaded = await load(file);
      io.out((await import('../config/print.js')).printConfig(loaded));
    });
  addConfigOption(config.command('check'))
    .description('report every mistake in the configuration and in the files that it names')
    .action(async ({ config: file }: { config?: string }) => {
      const loaded = await load(file);
      const { checkFiles } = await import('./check-files.js');
      await checkFiles(loaded.config);
      io.out('The configuration is right.\n');
    });
  config
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .action(async () => {
      const { configJsonSchema } = await import('../config/print.js');
      io.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    });
}

function addVerify(program: Command, { io, load, exitWith }: CommandContext): void {
  addConfigOption(program.command('verify'))
    .description('check everything in the store against its digest, while no server runs on it')
    .option('--repair', 'remove what is damaged or belongs to nothing')
    .action(async ({ config: file, repair = false }: { config?: string; repair?: boolean }) => {
      const loaded = await load(file);
      exitWith(await (await import('./verify.js')).verify(loaded.config, repair, io));
    });
}

function addStats(program: Command, { io, load, exitWith }: CommandContext): void {
  addConfigOption(program.command('stats'))
    .description('ask the admin port of a running server for sizes, counts and hit rates')
    .option('--url <url>', 'where the admin port is; default: as listen.admin says')
    .option('--json', 'print everything as JSON')
    .action(async ({ config: file, url, json = false }: { config?: string; url?: string; json?: boolean }) => {
      const loaded = await load(file);
      exitWith(await (await import('./stats.js')).stats(loaded.config, { url, json }, io));
    });
}

function addConfigOption(command: Command): Command {
  return command.option('-c, --config <file>', 'YAML file with the configuration');
}

/** Has each command name its own help after wrong usage: that of the program knows none of its options. */
function pointToHelp(command: Command, path = command.name()): void {
  command.showHelpAfterError(`Try ${path} --help.`);
  for (const each of command.commands) pointToHelp(each, `${path} ${each.name()}`);
}

function failed(error: unknown, io: CommandIo): ExitCode {
  // Commander has said what is wrong; help and the version come this way, too, with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { code, message } = error as { code?: unknown; message?: unknown };
  io.err(`granary: ${typeof message === 'string' ? message : String(error)}\n`);
  return code === 'CONFIG_INVALID' ? 2 : 1;
}
