import { type LevelControl, LOG_LEVELS, type LogLevel, parseLogLevel } from '@granary/telemetry';
import { parseDuration, TIME_ALLOWED } from '../config/duration.js';
import { type AdminRequest, AnswerError, type AnswerTo, json, type Route } from './route.js';

const MAX_BODY_BYTES = 1024;

interface Wish {
  readonly level: LogLevel;
  readonly forMs: number | undefined;
}

/**
 * Shows the level of the log and changes it: `PUT` with `debug`, or with `{"level": "debug", "for": "10m"}`; the time may
 * also be `?for=10m`. Afterwards the level is what it was before.
 *
 * @param onChange is told after each change, at the new level
 */
export function logLevelRoute(control: LevelControl, onChange?: (level: LogLevel, forMs?: number) => void): Route {
  const show = () =>
    json({ level: control.level, ...(control.levelAfterwards && { afterwards: control.levelAfterwards }) });
  const change: AnswerTo = async (request) => {
    const { level, forMs } = await wishOf(request);
    control.set(level, forMs);
    onChange?.(level, forMs);
    return show();
  };
  return {
    summary: 'the level of the log; PUT with a level changes it, ?for=10m for a time',
    get: show,
    put: change,
    // For tools that know no other method.
    post: change,
  };
}

async function wishOf(request: AdminRequest): Promise<Wish> {
  const body = (await request.body(MAX_BODY_BYTES)).toString('utf8').trim();
  const { level: text, for: time = request.query.get('for') } = body.startsWith('{') ? object(body) : { level: body };
  const level = typeof text === 'string' ? parseLogLevel(text) : undefined;
  if (level === undefined) throw wrong(`${JSON.stringify(text)} is no level; those are ${LOG_LEVELS.join(', ')}`);
  if (time === null || time === undefined) return { level, forMs: undefined };
  const forMs = typeof time === 'string' || typeof time === 'number' ? parseDuration(time) : undefined;
  if (!forMs) throw wrong(`${JSON.stringify(time)} is no time; allowed: ${TIME_ALLOWED}`);
  return { level, forMs };
}

function object(body: string): { readonly level?: unknown; readonly for?: unknown } {
  try {
    return JSON.parse(body);
  } catch {
    throw wrong('the body is no JSON; expected a level, or {"level": "debug", "for": "10m"}');
  }
}

function wrong(message: string): AnswerError {
  return new AnswerError(400, message);
}
