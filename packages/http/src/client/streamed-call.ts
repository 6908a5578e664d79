import type { Controller, ResponseHeaders } from '../dispatch.js';
import { Call } from './call.js';
import { ResponseBody } from './response-body.js';

/** The answer to a request: status and headers as they came, and the body to be read. */
export class HttpResponse {
  readonly statusCode: number;
  /** What stands behind the status, as servers of HTTP/1.1 write it; '' where there is nothing. Anybody may have written it. */
  readonly statusText: string;
  /** Names in lower case; several values of a name are an array. */
  readonly headers: ResponseHeaders;
  /**
   * The body, decompressed. Read it to its end or destroy it: until then it keeps its connection. It breaks off with an
   * {@link HttpError}, or with the reason of the call's signal.
   */
  readonly body: ResponseBody;

  constructor(statusCode: number, statusText: string, headers: ResponseHeaders, body: ResponseBody) {
    this.statusCode = statusCode;
    this.statusText = statusText;
    this.headers = headers;
    this.body = body;
  }
}

/** A call that is answered as soon as the headers are there. */
export class StreamedCall extends Call<HttpResponse> {
  readonly restartable = false;
  #body: ResponseBody | undefined;

  protected override start(
    controller: Controller,
    statusCode: number,
    headers: ResponseHeaders,
    statusText: string,
  ): void {
    this.#body = new ResponseBody(controller);
    this.succeed(new HttpResponse(statusCode, statusText, headers, this.#body));
  }

  protected override receive(controller: Controller, chunk: Buffer): void {
    this.#body?.receive(controller, chunk);
  }

  protected override complete(): void {
    this.#body?.complete();
  }

  protected override break(reason: Error): void {
    this.#body?.break(reason);
  }
}
