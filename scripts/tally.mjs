import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * `failures` and `unsteady`, what passed only when it was tried again, have a line about each test. `broken` are files, and
 * a line about each, that failed otherwise than by a test: by a hook, by what they import, or because their worker ended.
 *
 * @typedef {{
 *   passed: number, failures: readonly string[], unsteady: readonly string[], skipped: number,
 *   broken: ReadonlyMap<string, string>,
 * }} Tally
 */

/** @param {readonly Tally[]} tallies @returns {Tally} */
export function sum(tallies) {
  return {
    passed: tallies.reduce((total, each) => total + each.passed, 0),
    failures: tallies.flatMap((each) => each.failures),
    unsteady: tallies.flatMap((each) => each.unsteady),
    skipped: tallies.reduce((total, each) => total + each.skipped, 0),
    broken: new Map(tallies.flatMap((each) => [...each.broken])),
  };
}

/** The tally of a run whose reporter wrote this JSON file; a run that wrote none has failed. @returns {Tally} */
export function readTally(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    const failures = ['no report: the run ended before it could write one'];
    return { passed: 0, failures, unsteady: [], skipped: 0, broken: new Map() };
  }
  const broken = new Map();
  for (const file of report.testResults) {
    const reason = breakOf(file);
    if (reason !== undefined) broken.set(fileOf(file.name), `${fileOf(file.name)}: ${reason}`);
  }
  const whole = report.testResults.filter(({ name }) => !broken.has(fileOf(name)));
  const statuses = whole.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  return {
    passed: statuses.filter((status) => status === 'passed').length,
    failures: report.testResults.flatMap((file) => linesOf(file, 'failed')),
    unsteady: report.testResults.flatMap((file) => linesOf(file, 'passed')),
    skipped: statuses.filter((status) => status === 'skipped' || status === 'todo').length,
    broken,
  };
}

/**
 * The tally of a run together with that of a second one, in which its broken files were tried again.
 *
 * @param {Tally} first
 * @param {Tally} again
 * @returns {Tally}
 */
export function triedAgain(first, again) {
  const unsteady = [...first.broken].flatMap(([file, line]) => (again.broken.has(file) ? [] : [line]));
  return sum([{ ...first, unsteady: [...first.unsteady, ...unsteady], broken: new Map() }, again]);
}

/** Why a file failed otherwise than by a test; undefined where it didn't. */
function breakOf({ status, message, assertionResults }) {
  // Of a file whose worker ended vitest says that it has passed.
  const ended = assertionResults.some((each) => each.status === 'pending');
  if (ended || (status === 'passed' && assertionResults.length === 0)) return 'ended before its tests did';
  if (status !== 'failed' || assertionResults.some((each) => each.status === 'failed')) return undefined;
  return firstLine(message) || 'a hook failed';
}

/** What ended like that although, or because, something failed. */
function linesOf({ name, assertionResults }, status) {
  return assertionResults
    .filter((each) => each.status === status && (status === 'failed' || each.failureMessages?.length))
    .map((each) => `${fileOf(name)} > ${each.fullName}: ${firstLine(each.failureMessages?.[0])}`);
}

const fileOf = (name) => relative(process.cwd(), name);

function firstLine(message = '') {
  return stripVTControlCharacters(message).split('\n', 1)[0];
}

/**
 * What failed and what is unsteady, a line each, and last what all of it comes to.
 *
 * @param {Tally} tally
 */
export function summary({ passed, failures, unsteady, skipped, broken }) {
  const failed = [...failures, ...broken.values()];
  const total = `${passed} passed, ${failed.length} failed${skipped ? `, ${skipped} skipped` : ''}`;
  const lines = [
    ...unsteady.map((each) => `passed at the second try: ${each}`),
    ...failed.map((each) => `failed: ${each}`),
  ];
  return [...lines, total].join('\n');
}
