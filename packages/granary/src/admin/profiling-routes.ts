import { redactText } from '@granary/telemetry';
import {
  type Profiler,
  ProfilerBusyError,
  ProfilerClosedError,
  ProfilerUnavailableError,
} from '@granary/telemetry/profiling';
import { indexPage } from './index-page.js';
import { type AdminRequest, type Answer, AnswerError, type Route, text } from './route.js';

const BASE = '/debug/pprof/';
const PPROF = 'application/octet-stream';
const MAX_SECONDS = 300;
const CPU_SECONDS = 30;
/** How long the first heap profile takes by default: one that is made at once would show nothing yet. */
const FIRST_HEAP_SECONDS = 3;

/** Profiles under the paths where Go's tools look for them. */
export function profilingRoutes(profiler: Profiler): Readonly<Record<string, Route>> {
  const routes: Record<string, Route> = {
    [`${BASE}profile`]: {
      summary: `CPU profile: where the time goes during ?seconds=${CPU_SECONDS} (1 to ${MAX_SECONDS})`,
      onDemand: PPROF,
      get: async (request) => {
        const durationMs = seconds(request, CPU_SECONDS) * 1000;
        return download('cpu.pb.gz', await orAnswer(profiler.cpu(durationMs, { signal: request.signal })));
      },
    },
    [`${BASE}heap`]: {
      summary: `heap profile: what is still there of what was allocated since samples are taken, from the first request on, which takes ${FIRST_HEAP_SECONDS} s; ?seconds= waits that long`,
      onDemand: PPROF,
      get: async (request) => {
        const waitMs = seconds(request, profiler.samplesHeap ? 0 : FIRST_HEAP_SECONDS) * 1000;
        return download('heap.pb.gz', await orAnswer(profiler.heap(waitMs, { signal: request.signal })));
      },
    },
    [`${BASE}heapsnapshot`]: {
      summary:
        "heap snapshot for Chrome's developer tools: everything in memory, secrets too; stops the server while it is made",
      onDemand: PPROF,
      get: async () => download('granary.heapsnapshot', await orAnswer(async () => profiler.heapSnapshot())),
    },
    [`${BASE}cmdline`]: {
      summary: 'the command line, its words separated by NUL',
      get: () => ({
        status: 200,
        contentType: 'text/plain; charset=utf-8',
        body: [process.execPath, ...process.execArgv, ...process.argv.slice(1)].map(redactText).join('\0'),
      }),
    },
    [`${BASE}symbol`]: {
      summary: 'nothing: the profiles hold the names of their functions',
      get: noSymbols,
      post: noSymbols,
    },
  };
  const head = `<p>Profiles of this process, for <code>go tool pprof</code> and other tools that read pprof.</p>`;
  return {
    [BASE]: { summary: 'profiles', get: () => indexPage(routes, 'Profiles', head, BASE) },
    ...routes,
  };
}

const noSymbols = (): Answer => text(200, 'num_symbols: 0');

function download(name: string, body: Answer['body']): Answer {
  return {
    status: 200,
    contentType: PPROF,
    body,
    headers: { 'Content-Disposition': `attachment; filename="${name}"` },
  };
}

/** @throws AnswerError 400 when `seconds` is none that is allowed */
function seconds({ query }: AdminRequest, fallback: number): number {
  const given = query.get('seconds');
  if (given === null) return fallback;
  const value = /^\d{1,9}$/.test(given) ? Number(given) : 0;
  if (value < 1 || value > MAX_SECONDS)
    throw new AnswerError(
      400,
      `seconds: found ${JSON.stringify(given)}; allowed: a whole number from 1 to ${MAX_SECONDS}`,
    );
  return value;
}

async function orAnswer<T>(taken: Promise<T> | (() => Promise<T>)): Promise<T> {
  try {
    return await (typeof taken === 'function' ? taken() : taken);
  } catch (error) {
    if (error instanceof ProfilerUnavailableError) throw new AnswerError(501, error.message);
    // As any server that ends does, whoever waits for a profile is told to go; nothing failed.
    if (error instanceof ProfilerClosedError) throw new AnswerError(503, error.message);
    if (!(error instanceof ProfilerBusyError)) throw error;
    const { retryAfterMs } = error;
    throw new AnswerError(
      409,
      error.message,
      retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
    );
  }
}
