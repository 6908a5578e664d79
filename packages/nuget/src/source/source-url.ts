import { redactText } from '@granary/telemetry';
import { splitUserinfo } from '../auth/credentials.js';
import { NuGetError } from '../errors.js';
import { httpUrl } from '../protocol/endpoint-url.js';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const PLAIN = /^[^\u0000-\u001f\u007f]*$/;

/**
 * URL of a source as it was configured, without the credentials in it.
 *
 * @throws NuGetError `INVALID_OPTION` for what is none
 */
export function plainSourceUrl(name: string, text: string): string {
  // From JavaScript there may be nothing, or an object.
  if (typeof text !== 'string') throw new NuGetError('INVALID_OPTION', `${name}: sourceUrl must be a text`);
  if (!PLAIN.test(text)) throw new NuGetError('INVALID_OPTION', `${name}: the URL has control characters`);
  const { url } = splitUserinfo(text);
  if (httpUrl(url, url) !== undefined) return url;
  throw new NuGetError('INVALID_OPTION', `${name}: ${redactText(text)} is no http or https URL`);
}
