import { inspect } from 'node:util';
import {
  LevelControl,
  type LogLevel,
  type RootLogger,
  redactText,
  setupTelemetry,
  type TelemetryOptions,
} from '@granary/telemetry';
import type { Config } from '../config/schema.js';
import type { RunningServer } from '../server/running-server.js';
import { startServer } from '../server/start-server.js';
import { granaryVersion } from '../version.js';
import { checkFiles } from './check-files.js';
import { endInTime } from './end-in-time.js';
import { exportBreaker } from './export-breaker.js';
import type { CommandIo, ExitCode } from './io.js';
import { reloadLogLevel } from './reload-level.js';

/**
 * Serves until a signal asks for the end.
 *
 * @param load reads the configuration again from where it came from; SIGHUP takes the level of the log from it
 */
export async function serve(config: Config, io: CommandIo, load: () => Promise<Config>): Promise<ExitCode> {
  await checkFiles(config);
  const telemetry = await setupTelemetry(telemetryOptions(config));
  const { logger, metrics } = telemetry;
  const logLevel = new LevelControl(logger);
  const events = new ProcessEvents();
  // Listened to before anything is started: a signal that comes meanwhile ends the server as soon as it is there.
  const end = endSignal(events, logger);
  let callOff = () => {};
  void end.then(() => {
    callOff = endInTime(config.shutdown.grace, logger);
  });
  io.signalsTaken?.();
  dieOfWhatNobodyCaught(events, logger, io);
  try {
    const starting = startServer(config, { ...telemetry, logLevel });
    // From the start on, too: a hang-up that nobody listens to ends the process.
    reloadOnHangup(events, starting, () => reloadLogLevel(load, logLevel), logger);
    const server = await starting;
    io.out(server.message);
    await metrics.prepare();
    const signal = await end;
    logger.information('{Signal}: shutting down, running requests have {GraceMs} ms', signal, config.shutdown.grace);
    await server.stop(config.shutdown.grace);
    logger.information('Stopped');
    return 0;
  } finally {
    callOff();
    logLevel.close();
    // The last of all: what the server did at its end is to be seen too. A collector that is gone holds up for seconds.
    await telemetry.shutdown();
    events.removeAll();
  }
}

function telemetryOptions({ telemetry: config }: Config): TelemetryOptions {
  const { log_level: level, log_format: format } = config;
  return {
    logger: {
      level,
      ...(format !== 'auto' && { format: format === 'text' ? 'pretty' : 'json' }),
      buffered: true,
    },
    tracing: {
      endpoint: config.tracing_endpoint,
      protocol: config.tracing_protocol,
      sampleRatio: config.tracing_sample_ratio,
      propagation: config.tracing_propagation,
      serviceName: config.service_name,
      serviceVersion: granaryVersion(),
      resourceAttributes: config.resource_attributes,
      followsActive: ASYNC_CONTEXT_IS_CHEAP,
      exportPolicy: exportBreaker(),
    },
  };
}

/**
 * From Node 24 on, what runs is followed by the engine itself. Before, it would cost a busy server a tenth of its time,
 * and every part of the server is told its span anyway.
 */
const ASYNC_CONTEXT_IS_CHEAP = Number.parseInt(process.versions.node, 10) >= 24;

/** Listeners to the process that go when the server does. */
class ProcessEvents {
  readonly #added: (() => void)[] = [];

  on(event: string, listener: (argument: unknown) => void): void {
    process.on(event, listener);
    this.#added.push(() => process.off(event, listener));
  }

  removeAll(): void {
    for (const remove of this.#added.splice(0)) remove();
  }
}

/** Resolves with the first SIGTERM or SIGINT; the second ends the process at once. */
function endSignal(events: ProcessEvents, logger: RootLogger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      events.on(signal, () => {
        if (asked) {
          logger.warning('{Signal} again: ending at once', signal);
          logger.flush();
          // Where a disk hangs the exit waits for it. Another signal ends the process then, by itself.
          events.removeAll();
          process.exit(1);
        }
        asked = true;
        resolve(signal);
      });
    }
  });
}

/** What can be read again is, each by itself: a mistake in one of them keeps no other from being renewed. */
function reloadOnHangup(
  events: ProcessEvents,
  starting: Promise<RunningServer>,
  reloadLevel: () => Promise<LogLevel>,
  logger: RootLogger,
): void {
  events.on('SIGHUP', () => {
    const reload = (server: RunningServer) =>
      server.reload().then(
        () => logger.information('Certificates, users and tokens were read again'),
        (error: unknown) => logger.error('Certificates, users and tokens stay as they were', error),
      );
    // Where the server could not start there is nothing to renew, and who started it is told.
    starting.then(reload, () => {});
    reloadLevel().then(
      (level) => logger.information('The level of the log is {LogLevel}, as the configuration says', level),
      (error: unknown) => logger.error('The level of the log stays {LogLevel}', logger.level, error),
    );
  });
}

/**
 * What nobody caught leaves the program in a state that nobody knows, so that it ends at once: the store survives a
 * sudden end. The last record is written before that, or waited for a second at most.
 */
function dieOfWhatNobodyCaught(events: ProcessEvents, logger: RootLogger, io: CommandIo): void {
  const die = (what: string) => (error: unknown) => {
    if (logger.isEnabled('fatal')) logger.fatal('{What}; the server ends', what, error);
    // Nobody should have to guess why a server is gone, whatever its log holds.
    else io.err(`granary: ${what}: ${redactText(inspect(error))}\n`);
    logger.flush();
    process.exit(1);
  };
  events.on('uncaughtException', die('An error was not caught'));
  events.on('unhandledRejection', die('A rejection was not handled'));
}
