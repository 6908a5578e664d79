import { randomUUID } from 'node:crypto';
import { HttpError, noSuchPackage, toHttpError } from '../http/http-error.js';
import { pathOf } from '../http/nuget-path.js';
import { boundaryOf } from '../http/uploads/form-parser.js';
import { readBody } from '../http/uploads/request-body.js';
import { odataError } from './documents/odata-error.js';
import type { V2Request } from './v2-request.js';

const MAX_BYTES = 256 * 1024;
const MAX_OPERATIONS = 16;
/** A part's header, an empty line, and the line that a request begins with. Old clients end lines as their system does. */
const OPERATION = /^(?:[\w-]+:[^\n]*\n)+\r?\n([A-Z]+) (\S+)(?: HTTP\/\d\.\d)?\r?\n/;

/** Answers with what lies at a path below the feed. */
type AnswerAt = (request: V2Request, path: readonly string[]) => Promise<void>;

/** Whether a path is that of batches, which nothing but questions comes in. */
export function isBatch(path: readonly string[]): boolean {
  return path.length === 1 && path[0]?.toLowerCase() === '$batch';
}

/**
 * Answers several questions in one request (OData 2, batch processing). Clients put a question into the body of one when
 * its URL would be too long: of the updates of a large solution, for instance. What changes something isn't taken.
 *
 * @throws HttpError 400, 405, 408, 413, 415
 */
export async function answerBatch(request: V2Request, answer: AnswerAt): Promise<void> {
  const { exchange } = request;
  exchange.allow('POST');
  const type = exchange.request.headers['content-type'] ?? '';
  if (!/^multipart\/mixed\b/i.test(type)) throw new HttpError(415, 'a batch is multipart/mixed');
  const boundary = boundaryOf(type);
  const body = (await readBody(exchange, MAX_BYTES)).toString();
  const own = `batchresponse_${randomUUID()}`;
  const parts: string[] = [];
  for (const target of targetsIn(body, boundary)) parts.push(partOf(own, await answerOf(request, target, answer)));
  const headers = ['Content-Type', `multipart/mixed; boundary=${own}`, 'DataServiceVersion', '2.0;'];
  exchange.answer(202, [...headers, 'Cache-Control', 'no-store'], Buffer.from(`${parts.join('')}--${own}--\r\n`));
}

interface PartAnswer {
  readonly status: number;
  readonly reason: string;
  readonly type: string;
  readonly text: string;
}

/** The URLs that are asked for. */
function targetsIn(body: string, boundary: string): readonly string[] {
  const [, ...parts] = body.split(`--${boundary}`);
  const end = parts.pop();
  if (end?.startsWith('--') !== true) throw new HttpError(400, 'the batch ended before its end');
  if (parts.length > MAX_OPERATIONS) throw new HttpError(400, `a batch has at most ${MAX_OPERATIONS} questions`);
  return parts.map((part) => {
    const [, method, target] = OPERATION.exec(part.replace(/^\r?\n/, '')) ?? [];
    if (method === 'GET' && target !== undefined) return target;
    throw new HttpError(400, 'a batch has questions (GET) in it, and nothing else');
  });
}

async function answerOf(request: V2Request, target: string, answer: AnswerAt): Promise<PartAnswer> {
  const answers: PartAnswer[] = [];
  const send: V2Request['send'] = ({ answer: said, render, type = 'application/json' }) => {
    const text = said && render(said.value);
    if (said === undefined || text === undefined) throw noSuchPackage();
    request.exchange.state = said.state;
    answers.push({ status: 200, reason: 'OK', type, text: typeof text === 'string' ? text : JSON.stringify(text) });
  };
  try {
    const { path, query } = below(request, target);
    await answer({ ...request, query, send }, path);
    return answers[0] as PartAnswer;
  } catch (error) {
    request.exchange.signal.throwIfAborted();
    const { status, message } = toHttpError(error, 'read');
    if (status === 500) throw error;
    const { type, text } = odataError(message);
    return { status, reason: 'Error', type, text };
  }
}

/** Where a URL leads below the feed: it must lie there as the client sees it, or as this server does. */
function below({ exchange, urls }: V2Request, target: string) {
  const base = `${urls.v2}/`;
  if (!URL.canParse(target, base)) throw new HttpError(400, 'a batch asks for something that is no URL');
  const { pathname, searchParams: query } = new URL(target, base);
  const roots = [new URL(base).pathname, parentOf(pathOf(exchange.request.url ?? ''))];
  const root = roots.find((each) => pathname.startsWith(each));
  if (root === undefined) throw new HttpError(404, 'a batch asks for what lies beside it');
  const path = pathname.slice(root.length).split('/');
  try {
    return { path: path.filter((part) => part !== '').map(decodeURIComponent), query };
  } catch {
    throw new HttpError(400, 'the path is not encoded as UTF-8');
  }
}

/** A path without its last name and what slashes stand behind that, up to the slash before it. */
function parentOf(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end--;
  return path.slice(0, path.lastIndexOf('/', end - 1) + 1);
}

function partOf(boundary: string, { status, reason, type, text }: PartAnswer): string {
  const head = ['Content-Type: application/http', 'Content-Transfer-Encoding: binary', ''];
  const answer = [`HTTP/1.1 ${status} ${reason}`, `Content-Type: ${type}`, 'DataServiceVersion: 2.0;', '', text, ''];
  return [`--${boundary}`, ...head, ...answer].join('\r\n');
}
