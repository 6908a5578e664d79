/**
 * What was uploaded: the first part of a form, or the whole body when it is none. Line ends may be those of either
 * kind: `nuget` 2.8 ends its forms with a bare line feed.
 */
export function uploadedFile(body: Buffer, contentType: string | undefined): Buffer | undefined {
  const boundary = /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  if (boundary === null) return body.length > 0 ? body : undefined;
  const delimiter = `--${boundary[1] ?? boundary[2]}`;
  const begin = body.indexOf(delimiter);
  if (begin < 0) return undefined;
  const headers = afterBlankLine(body, begin + delimiter.length);
  const end = headers === undefined ? -1 : body.indexOf(`\n${delimiter}`, headers);
  if (headers === undefined || end < 0) return undefined;
  return body.subarray(headers, body[end - 1] === 0x0d ? end - 1 : end);
}

function afterBlankLine(body: Buffer, from: number): number | undefined {
  const ends = [body.indexOf('\r\n\r\n', from) + 4, body.indexOf('\n\n', from) + 2].filter((end) => end > from);
  return ends.length > 0 ? Math.min(...ends) : undefined;
}
