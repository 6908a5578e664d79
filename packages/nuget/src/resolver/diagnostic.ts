import type { NuGetVersion } from '../versions/nuget-version.js';

/** What NuGet calls the things that can be wrong with a dependency graph. */
export type DiagnosticCode =
  | 'NU1100' // no source is asked for this package
  | 'NU1101' // no source has this package
  | 'NU1102' // no version of it is in the range
  | 'NU1103' // only prereleases are in the range, which it doesn't ask for
  | 'NU1107' // two packages need versions that exclude each other
  | 'NU1108' // a package needs itself
  | 'NU1202' // a package has nothing for the target framework
  | 'NU1301' // a source failed
  | 'NU1602' // a package's dependency doesn't say a lowest version
  | 'NU1603' // the lowest version isn't there, a higher one is used
  | 'NU1604' // a direct dependency doesn't say a lowest version
  | 'NU1605' // something nearer to the root asks for a lower version than is needed
  | 'NU1608' // a version above the range is used, because something nearer asks for it
  | 'NU1701' // a package is used that is made for another framework
  | 'NU1901' // low
  | 'NU1902' // moderate
  | 'NU1903' // high
  | 'NU1904'; // critical vulnerability

/** Something that a restore would warn of or fail with, by the same code. */
export interface Diagnostic {
  readonly code: DiagnosticCode;
  /** With an error, the graph can't be used. */
  readonly level: 'error' | 'warning';
  /** For people: one line. */
  readonly message: string;
  /** The package that it is about. */
  readonly id: string;
  /** The version that is used, where there is one. */
  readonly version?: NuGetVersion | undefined;
  /** Ways from the root that show it: `A 1.0.0 -> B (>= 2.0.0)`. */
  readonly paths: readonly string[];
  /** What a source failed with. */
  readonly cause?: unknown;
}
