/**
 * - `MALFORMED`: the input is no Zstandard, ends early, or has something else behind its end
 * - `TOO_LARGE`: it holds more than the caller takes, or needs more memory than a decoder offers
 * - `UNSUPPORTED`: this process can't do it; see {@link zstdSupport}
 */
type ZstdErrorCode = 'MALFORMED' | 'TOO_LARGE' | 'UNSUPPORTED';

/** Compressed bytes that can't be used. */
export class ZstdError extends Error {
  readonly code: ZstdErrorCode;

  constructor(code: ZstdErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ZstdError';
    this.code = code;
  }
}
