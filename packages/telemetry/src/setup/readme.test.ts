import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as telemetry from '../index.js';
import { OtlpCollector } from '../testing/index.js';

/** The code of a chapter of the README, as the body of a function that is told what it imports. */
function chapter(title: string, ...more: string[]) {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, code = ''] = readme.split(`\n## ${title}\n`)[1]?.match(/```js\n([\s\S]+?)```/) ?? [];
  const names = code.match(/^import \{ (.+) \} from '@granary\/telemetry';$/m)?.[1] ?? '';
  const body = code.replace(/^import .*$/gm, '').replace(/\bawait telemetry\.shutdown/, `taken = { body };\n$&`);
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  return new AsyncFunction(`{ ${names} }`, ...more, `let taken; ${body}; return taken;`);
}

it('metrics, traces and logs of one piece of work fit together as the README says', async () => {
  await using collector = await OtlpCollector.start();
  const lines: string[] = [];
  const setupTelemetry = (options: telemetry.TelemetryOptions & { tracing: object; logger: object }) =>
    telemetry.setupTelemetry({
      ...options,
      logger: { ...options.logger, format: 'json', destination: { write: (line: string) => lines.push(line) } },
      tracing: { ...options.tracing, endpoint: collector.endpoint },
    });
  const { body } = await chapter('All of it at once')({ ...telemetry, setupTelemetry });
  const span = collector.only('Fetch');
  expect(span).toMatchObject({ kind: 'client', attributes: { source: 'feed' }, status: 'unset' });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { msg: 'Fetching from feed', trace_id: span.traceId, span_id: span.spanId },
  ]);
  const page = String(body);
  expect(page).toContain('my_tool_fetch_duration_seconds_count{source="feed"} 1');
  expect(page).toContain(`# {trace_id="${span.traceId}",span_id="${span.spanId}"} 0.012`);
});
