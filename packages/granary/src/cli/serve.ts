import { createLogger, MetricRegistry, type RootLogger } from '@granary/telemetry';
import type { Config } from '../config/schema.js';
import type { RunningServer } from '../server/running-server.js';
import { startServer } from '../server/start-server.js';
import { checkFiles } from './check-files.js';
import type { CommandIo, ExitCode } from './io.js';

/** Serves until a signal asks for the end. */
export async function serve(config: Config, io: CommandIo): Promise<ExitCode> {
  await checkFiles(config);
  const { log_level: level, log_format: format } = config.telemetry;
  const logger = createLogger({
    level,
    ...(format !== 'auto' && { format: format === 'text' ? 'pretty' : 'json' }),
    buffered: true,
  });
  // Installed before anything is started: a signal that comes meanwhile ends the server as soon as it is there.
  const end = endSignal(logger);
  dieOfWhatNobodyCaught(logger);
  try {
    const metrics = new MetricRegistry();
    metrics.addProcessMetrics();
    const server = await startServer(config, { logger, metrics });
    reloadOnHangup(server, logger);
    io.out(server.message);
    const signal = await end;
    logger.information('{Signal}: shutting down, running requests have {GraceMs} ms', signal, config.shutdown.grace);
    await server.stop(config.shutdown.grace);
    logger.information('Stopped');
    return 0;
  } finally {
    await logger.close();
  }
}

/** Ctrl-C under npm arrives twice within a millisecond: the terminal sends it to everyone, and npm passes its own on. */
const ECHO_MS = 100;

/** Resolves with the first SIGTERM or SIGINT; the second ends the process at once. */
function endSignal(logger: RootLogger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let askedAtMs: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        const nowMs = performance.now();
        if (askedAtMs === undefined) {
          askedAtMs = nowMs;
          resolve(signal);
        } else if (nowMs - askedAtMs > ECHO_MS) {
          logger.warning('{Signal} again: ending at once', signal);
          logger.flush();
          process.exit(1);
        }
      });
    }
  });
}

function reloadOnHangup(server: RunningServer, logger: RootLogger): void {
  process.on('SIGHUP', () => {
    server.reload().then(
      () => logger.information('Certificates, users and tokens were read again'),
      (error: unknown) => logger.error('Certificates, users and tokens stay as they were', error),
    );
  });
}

/** What nobody caught leaves the program in a state that nobody knows. The store survives a sudden end. */
function dieOfWhatNobodyCaught(logger: RootLogger): void {
  const die = (what: string) => (error: unknown) => {
    logger.fatal('{What}; the server ends', what, error);
    logger.flush();
    process.exit(1);
  };
  process.on('uncaughtException', die('An error was not caught'));
  process.on('unhandledRejection', die('A rejection was not handled'));
}
