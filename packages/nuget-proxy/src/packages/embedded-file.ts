import { isUtf8 } from 'node:buffer';
import { isNuGetError, type NupkgReader } from '@granary/nuget';
import { imageType } from './image-type.js';

/** What a package has in it for people who look at it before they take it. */
export type EmbeddedFile = 'icon' | 'readme';

/** Longest one, as on nuget.org. A longer one counts as none. */
export const MAX_EMBEDDED_BYTES = 1024 * 1024;

const WEB_PAGE = /^\s*<(?:!doctype\s+html|html)/i;

/** The icon or the readme in a package; undefined when it has none that anybody could show. */
export async function embeddedIn(reader: NupkgReader, file: EmbeddedFile): Promise<Buffer | undefined> {
  // In another case than the file has, as some nuspecs are written.
  const name = (await reader.nuspec())[file]?.toLowerCase();
  const found = reader.files().find(({ path }) => path.toLowerCase() === name);
  if (found === undefined) return undefined;
  try {
    const bytes = await reader.read(found.path, MAX_EMBEDDED_BYTES);
    return isEmbedded(file, bytes) ? bytes : undefined;
  } catch (error) {
    // It is broken or too long, which is no reason to fail: the package may be fine without it.
    if (isNuGetError(error) && (error.code === 'INVALID_PACKAGE' || error.code === 'LIMIT')) return undefined;
    throw error;
  }
}

/** Whether bytes are an icon or a readme at all, rather than the web page that somebody is to sign in on. */
export function isEmbedded(file: EmbeddedFile, bytes: Buffer): boolean {
  return file === 'icon' ? imageType(bytes) !== undefined : isUtf8(bytes) && !isWebPage(bytes);
}

/** Whether bytes are a web page, which tells nothing of what should have been in its place. */
export function isWebPage(bytes: Buffer): boolean {
  return WEB_PAGE.test(bytes.toString('latin1', 0, 1024));
}
