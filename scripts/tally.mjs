import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * `failures` and `unsteady`, what passed only when it was tried again, have a line about each test. `unfinished` are files
 * whose worker ended before their tests did; they are among the failures, too.
 *
 * @typedef {{
 *   passed: number, failures: readonly string[], unsteady: readonly string[], skipped: number, unfinished: readonly string[],
 * }} Tally
 */

/** @param {readonly Tally[]} tallies @returns {Tally} */
export function sum(tallies) {
  return {
    passed: tallies.reduce((total, each) => total + each.passed, 0),
    failures: tallies.flatMap((each) => each.failures),
    unsteady: tallies.flatMap((each) => each.unsteady),
    skipped: tallies.reduce((total, each) => total + each.skipped, 0),
    unfinished: tallies.flatMap((each) => each.unfinished),
  };
}

/** The tally of a run whose reporter wrote this JSON file; a run that wrote none has failed. @returns {Tally} */
export function readTally(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    const failures = ['no report: the run ended before it could write one'];
    return { passed: 0, failures, unsteady: [], skipped: 0, unfinished: [] };
  }
  const finished = report.testResults.filter((file) => !isUnfinished(file));
  const statuses = finished.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  return {
    passed: statuses.filter((status) => status === 'passed').length,
    failures: report.testResults.flatMap(failuresOf),
    unsteady: report.testResults.flatMap((file) => linesOf(file, 'passed')),
    skipped: statuses.filter((status) => status === 'skipped' || status === 'todo').length,
    unfinished: report.testResults.filter(isUnfinished).map(({ name }) => fileOf(name)),
  };
}

/**
 * The tally of a run together with that of a second one, in which its unfinished files were tried again.
 *
 * @param {Tally} first
 * @param {Tally} again
 * @returns {Tally}
 */
export function triedAgain(first, again) {
  const lines = new Set(first.unfinished.map(unfinished));
  return sum([
    {
      ...first,
      failures: first.failures.filter((line) => !lines.has(line)),
      unsteady: [...first.unsteady, ...lines],
      unfinished: [],
    },
    again,
  ]);
}

function failuresOf(file) {
  const { name, status, message, assertionResults } = file;
  if (isUnfinished(file)) return [...linesOf(file, 'failed'), unfinished(fileOf(name))];
  // A file that could not even be loaded has no tests that could fail.
  if (status === 'failed' && assertionResults.length === 0) return [`${fileOf(name)}: ${firstLine(message)}`];
  return linesOf(file, 'failed');
}

/** Whether the worker ended before the tests did: vitest says of such a file that it has passed. */
function isUnfinished({ status, assertionResults }) {
  if (assertionResults.length === 0) return status === 'passed';
  return assertionResults.some((each) => each.status === 'pending');
}

const unfinished = (file) => `${file}: ended before its tests did`;

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
export function summary({ passed, failures, unsteady, skipped }) {
  const total = `${passed} passed, ${failures.length} failed${skipped ? `, ${skipped} skipped` : ''}`;
  const lines = [
    ...unsteady.map((each) => `passed at the second try: ${each}`),
    ...failures.map((each) => `failed: ${each}`),
  ];
  return [...lines, total].join('\n');
}
