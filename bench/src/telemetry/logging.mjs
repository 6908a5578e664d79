// What a log call costs, beside pino and LogTape. pino's own is an object with the same properties and a message that is
// there already: no template is kept and none is rendered.

import { createLogger, loggerFor, logtapeSink, pinoSink } from '@granary/telemetry';
import { configureSync, getLogger } from '@logtape/logtape';
import { pino } from 'pino';

const NOWHERE = { write() {} };
const TEMPLATE = 'Downloading {PackageId} {Version} from {Source}';
const SOURCE = 'https://feed.example/v3/index.json';
const SPAN = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
const OBJECT = { a: 1, nested: { list: [1, 2, 3] } };

const toNowhere = (options) => createLogger({ destination: NOWHERE, format: 'json', ...options });

configureSync({
  sinks: { nowhere: () => {} },
  loggers: [
    { category: 'app', lowestLevel: 'info', sinks: ['nowhere'] },
    { category: ['logtape', 'meta'], lowestLevel: 'fatal', sinks: [] },
  ],
});

/** A version as it changes from call to call. */
function versions() {
  const all = Array.from({ length: 256 }, (_, i) => `13.0.${i}`);
  let next = 0;
  return () => all[next++ & 255];
}

const on = (logger) => {
  const version = versions();
  return () => logger.information(TEMPLATE, 'Example.Json', version(), SOURCE);
};
const onPino = (logger) => {
  const version = versions();
  const message = `Downloading Example.Json 13.0.100 from ${SOURCE}`;
  return () => logger.info({ PackageId: 'Example.Json', Version: version(), Source: SOURCE }, message);
};

export const CONTENDERS = {
  // Each of these is a function of its own, as calls in a program are: one that they shared would have to look up anew
  // which logger it has this time.
  'no call': () => {
    let i = 0;
    return () => i++;
  },
  off: () => {
    const logger = toNowhere();
    let i = 0;
    return () => logger.debug(TEMPLATE, 'Example.Json', i++, SOURCE);
  },
  'off, no arguments': () => {
    const logger = toNowhere();
    return () => logger.debug('Nothing to say');
  },
  'off, an object': () => {
    const logger = toNowhere();
    return () => logger.debug('{@Object}', OBJECT);
  },
  'off, nine arguments': () => {
    const logger = toNowhere();
    let i = 0;
    return () => logger.debug('{A} {B}', 1, 2, 3, 4, 5, 6, i++, 'eight', OBJECT);
  },
  'off, was on before': () => {
    const logger = toNowhere();
    let i = 0;
    const call = () => logger.debug(TEMPLATE, i++, OBJECT, SOURCE);
    logger.setLevel('debug');
    for (let calls = 0; calls < 20_000; calls++) call();
    logger.setLevel('information');
    return call;
  },
  'off, derived': () => {
    const logger = toNowhere().with({ connection: 3, peer: '::1' });
    let i = 0;
    return () => logger.debug(TEMPLATE, 'Example.Json', i++, SOURCE);
  },
  'off, by a pino': () => {
    const logger = loggerFor(pinoSink(pino({}, NOWHERE)));
    let i = 0;
    return () => logger.debug(TEMPLATE, 'Example.Json', i++, SOURCE);
  },
  'off, by a LogTape': () => {
    const logger = loggerFor(logtapeSink(getLogger('app')));
    let i = 0;
    return () => logger.debug(TEMPLATE, 'Example.Json', i++, SOURCE);
  },
  'pino, off': () => {
    const logger = pino({}, NOWHERE);
    const version = versions();
    return () => logger.debug({ PackageId: 'Example.Json', Version: version(), Source: SOURCE }, 'Downloading');
  },
  'LogTape, off': () => {
    const logger = getLogger('app');
    const version = versions();
    return () => logger.debug(TEMPLATE, { PackageId: 'Example.Json', Version: version(), Source: SOURCE });
  },

  on: () => on(toNowhere()),
  'on, derived': () => on(toNowhere().with({ connection: 3, peer: '::1' })),
  'on, in a span': () => on(toNowhere({ activeSpan: () => SPAN })),
  'on, one value': () => {
    const logger = toNowhere();
    const version = versions();
    return () => logger.information('Stored {Version}', version());
  },
  'on, by a pino': () => on(loggerFor(pinoSink(pino({}, NOWHERE)))),
  'on, by a LogTape': () => on(loggerFor(logtapeSink(getLogger('app')))),
  'pino, on': () => onPino(pino({}, NOWHERE)),
  'pino, on, derived': () => onPino(pino({}, NOWHERE).child({ connection: 3, peer: '::1' })),
  'pino, on, in a span': () =>
    onPino(pino({ mixin: () => ({ trace_id: SPAN.traceId, span_id: SPAN.spanId }) }, NOWHERE)),
  'pino, on, one value': () => {
    const logger = pino({}, NOWHERE);
    const version = versions();
    return () => logger.info({ Version: version() }, 'Stored 13.0.100');
  },
  'LogTape, on': () => {
    const logger = getLogger('app');
    const version = versions();
    return () => logger.info(TEMPLATE, { PackageId: 'Example.Json', Version: version(), Source: SOURCE });
  },
};

/** How many times the peer's time. */
const timesPeer = (name, peer, atMost) => ({ unit: '×', atMost, of: (ns) => ns[name] / ns[peer] });
/** What the call takes, without what the benchmark itself takes for each: 4 to 5 ns at 2.3 GHz. */
const beyondNone = (name, atMost) => ({ unit: 'ns', atMost, of: (ns) => ns[name] - ns['no call'] });
const OFF = ['off', 'off, no arguments', 'off, an object', 'off, nine arguments', 'off, was on before', 'off, derived'];

export const ROWS = [
  ...OFF.map((name) => ({ row: name, ...beyondNone(name, 5) })),
  { row: 'on, as pino with the same properties and no template', ...timesPeer('on', 'pino, on', 2) },
  { row: 'on, derived, as a child of pino', ...timesPeer('on, derived', 'pino, on, derived', 2) },
  { row: 'on, one value', ...timesPeer('on, one value', 'pino, on, one value', 2) },
  { row: 'on, in a span, as pino with a mixin', ...timesPeer('on, in a span', 'pino, on, in a span', 2) },
];
