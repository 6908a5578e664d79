import { STATUS_CODES } from 'node:http';
import type { HttpResponse } from '@granary/http';
import { redactText } from '@granary/telemetry';
import { SaxesParser } from 'saxes';
import { textOf } from './header-text.js';

/** As much of a body is looked at; whoever explains a refusal needs less. */
const MAX_BYTES = 16 * 1024;
/** Most characters of what a source says that get into an error or a log. */
const MAX_LENGTH = 500;
/** Shorter ones are no secrets, and hiding them would leave nothing to read. */
const MIN_SECRET = 4;
const HIDDEN = '[redacted]';
/** Begins where a word does, which makes the time that it takes one of proportion to the text. */
const CUT_WORD = /(?<!\S)\S+$/;
const WEB_PAGE = /^\s*<(?:!doctype\s+)?html\b/i;
/** Where documents of JSON have a reason: those of galleries, problem details, and whatever else is common. */
const REASONS = ['title', 'detail', 'message', 'error', 'errors'] as const;

/**
 * Why a source refused what was sent or asked, as it says itself: behind the status, which is where galleries say it, and in the
 * body, if that is text, JSON or XML. One line of at most 500 characters without control characters and without what was
 * secret in the request, however the source quotes it; undefined when it says nothing. Reads and ends the body.
 */
export async function refusalReason(response: HttpResponse, secrets: readonly string[]): Promise<string | undefined> {
  const type = textOf(response.headers['content-type']) ?? '';
  const body = oneLine(reasonIn(await beginningOf(response), type), secrets);
  const standard = STATUS_CODES[response.statusCode]?.toLowerCase();
  const status = oneLine(response.statusText, secrets);
  if (status === '' || status.toLowerCase() === standard || body.includes(status)) return body || undefined;
  return cut(body === '' ? status : `${status}: ${body}`);
}

/**
 * Whether the answer is a page for people, as that which asks whoever isn't logged in to do so. Galleries say so little that
 * servers may call it HTML by default: only one that begins as a page is one. Reads and ends the body then.
 */
export async function isWebPage(response: HttpResponse): Promise<boolean> {
  const type = textOf(response.headers['content-type']) ?? '';
  return /\bhtml\b/i.test(type) && WEB_PAGE.test(await beginningOf(response));
}

/** What a source wrote, as a line that may be shown. */
export function oneLine(text: string, secrets: readonly string[]): string {
  let line = text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim();
  for (const secret of secrets) line = line.replace(new RegExp(escaped(secret), 'gi'), HIDDEN);
  return cut(redactText(line));
}

/** What nobody may read in an answer: API keys and credentials as they are sent, and as they were before. */
export function secretsIn(headers: Readonly<Record<string, string>>): readonly string[] {
  const secrets: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (lower === 'x-nuget-apikey') secrets.push(value);
    if (lower !== 'authorization') continue;
    const [scheme, credentials = ''] = value.split(' ');
    secrets.push(credentials);
    if (scheme?.toLowerCase() !== 'basic') continue;
    const pair = Buffer.from(credentials, 'base64').toString();
    secrets.push(pair, pair.slice(pair.indexOf(':') + 1));
  }
  return secrets.filter(({ length }) => length >= MIN_SECRET).sort((a, b) => b.length - a.length);
}

async function beginningOf({ body }: HttpResponse): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length > MAX_BYTES) break;
    }
  } catch {
    // What came before it broke off may say enough.
  } finally {
    body.destroy();
  }
  const text = Buffer.concat(chunks, Math.min(length, MAX_BYTES)).toString();
  // A secret that is cut in two is none that would be found.
  return length > MAX_BYTES ? text.replace(CUT_WORD, '') : text;
}

function reasonIn(text: string, contentType: string): string {
  if (/\bjson\b/i.test(contentType)) return jsonReason(text);
  // Pages for people to look at say little in many words.
  if (/\bhtml\b/i.test(contentType) || WEB_PAGE.test(text)) return '';
  return /\bxml\b/i.test(contentType) ? xmlReason(text) : text;
}

function jsonReason(text: string): string {
  try {
    return textsIn(JSON.parse(text), 0).join('; ');
  } catch {
    return text;
  }
}

function textsIn(value: unknown, depth: number): readonly string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || depth > 2) return [];
  if (Array.isArray(value)) return value.flatMap((each) => textsIn(each, depth + 1));
  const named = value as Record<string, unknown>;
  const reasons = REASONS.flatMap((name) => textsIn(named[name], depth + 1));
  // Problem details name each field with what is wrong with it.
  return reasons.length > 0 || depth === 0 ? reasons : Object.values(named).flatMap((each) => textsIn(each, depth + 1));
}

/** The first message of an error of OData, or of a cloud's storage: those within tell of the server's own code. */
function xmlReason(text: string): string {
  const parser = new SaxesParser({ xmlns: true, position: false });
  let message: string | undefined;
  let within = false;
  parser.on('opentag', ({ local }) => {
    within = message === undefined && local.toLowerCase() === 'message';
    if (within) message = '';
  });
  parser.on('text', (part) => {
    if (within) message += part;
  });
  parser.on('closetag', () => {
    within = false;
  });
  // Whatever comes before an error counts.
  parser.on('error', () => {});
  parser.write(text).close();
  return message ?? '';
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function cut(line: string): string {
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 1)}…` : line;
}
