const BRAND: unique symbol = Symbol.for('granary.nuget-error') as never;

/** Why something about packages or feeds was refused or failed. Stable: code may depend on these. */
export type NuGetErrorCode =
  | 'INVALID_VERSION' // a text that is no version
  | 'INVALID_VERSION_RANGE' // a text that is no range, or a range that nothing can be in
  | 'INVALID_FRAMEWORK' // a text that names no target framework
  | 'INVALID_PACKAGE_ID'
  | 'INVALID_PACKAGE' // a file that is no package, or another one than it should be
  | 'INVALID_CONFIG' // a nuget.config that can't be read
  | 'INVALID_PROJECT' // a project, or a file that says what it needs, that can't be read
  | 'INVALID_OPTION'
  | 'PACKAGE_NOT_FOUND' // none of the sources has it
  | 'PROTOCOL' // a source answered with something that is no answer to what was asked
  | 'SOURCE_UNAVAILABLE' // a source can't be reached, or fails; the cause says how
  | 'UNAUTHORIZED' // a source wants credentials, or others
  | 'FORBIDDEN' // a source knows who asks, and refuses
  | 'CONFLICT' // a package with this id and version is there already, or others write the same file or folder
  | 'UNSUPPORTED' // a source doesn't offer what was asked for
  | 'LIMIT' // something is larger, deeper or more than it may be
  | 'CLOSED';

/** Base of every error that this package throws on purpose. Its message never has a credential in it. */
export class NuGetError extends Error {
  readonly code: NuGetErrorCode;
  readonly [BRAND] = true;

  constructor(code: NuGetErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A source failed, or answered with something that makes no sense. */
export class SourceError extends NuGetError {
  /** Name of the source. */
  readonly source: string;
  /** Status of its answer, where there was one. */
  readonly statusCode: number | undefined;
  /** How long it wants to be left alone, in milliseconds, where it said so (`Retry-After`). */
  readonly retryAfterMs: number | undefined;
  /** Why it refused what was sent or asked, in its own words: one line without secrets, which may have addresses in it. */
  readonly reason: string | undefined;

  constructor(
    code: NuGetErrorCode,
    source: string,
    message: string,
    details: {
      readonly statusCode?: number | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly reason?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(code, `${source}: ${message}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.source = source;
    this.statusCode = details.statusCode;
    this.retryAfterMs = details.retryAfterMs;
    this.reason = details.reason;
  }
}

/** No source that was asked has the package, or this version of it: code `PACKAGE_NOT_FOUND`. All of them answered. */
export class PackageNotFoundError extends NuGetError {
  readonly packageId: string;
  readonly version: string | undefined;

  constructor(packageId: string, version: string | undefined, where: string) {
    super('PACKAGE_NOT_FOUND', `${packageId}${version === undefined ? '' : ` ${version}`} is not in ${where}`);
    this.packageId = packageId;
    this.version = version;
  }
}

/** Whether something is an error of this package, of whatever copy of it. */
export function isNuGetError(error: unknown): error is NuGetError {
  return typeof error === 'object' && error !== null && BRAND in error;
}
