import { OVERFLOW_LABEL } from '@granary/telemetry';
import { boundedText } from '@granary/telemetry/server';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { type Edge, RunningCall } from './running-call.js';
import type { MethodName } from './server-call.js';
import { UnknownMethodError } from './status.js';

/** No path is like this: those of calls begin with a slash. */
const ANY_PATH = '*';

/**
 * Answers calls of methods that nobody has added, which grpc-js would refuse as well, but without a word to anybody: a
 * client that asks for what this server doesn't have, such as remote execution, would be in no metric, trace or log. In
 * records the method is `other`, and so is a service that isn't one of these, because clients can make up any number.
 *
 * grpc-js has no public way for it, so this looks for its table of methods. Without one, calls are refused in silence.
 *
 * @param services the full names of all that were added
 */
export function answerUnknownMethods(server: Server, edge: Edge, services: Iterable<string>): void {
  const { handlers } = server as unknown as { readonly handlers?: Map<string, object> };
  if (!(handlers instanceof Map)) return;
  const known = new Map(Array.from(services, (service) => [service, unknownOf(service)]));
  const ofNoService = unknownOf(OVERFLOW_LABEL);
  const refuse = (stream: ServerDuplexStream<Buffer, Buffer>) => {
    const path = stream.getPath();
    const name = path.slice(1);
    const call = new RunningCall(edge, known.get(name.slice(0, name.lastIndexOf('/'))) ?? ofNoService, stream);
    if (call.wantsDetails) call.subject = boundedText(name);
    if (call.span.recording) call.span.setAttribute('rpc.method_original', boundedText(name) ?? '');
    stream.emit('error', call.fail(new UnknownMethodError(path)));
  };
  const asIs = (bytes: Buffer) => bytes;
  server.register(ANY_PATH, refuse as never, asIs, asIs, 'bidi');
  const find = handlers.get.bind(handlers);
  const fallback = find(ANY_PATH);
  // A call has the path of its handler.
  handlers.get = (path) => find(path) ?? { ...fallback, path };
}

function unknownOf(service: string): MethodName {
  return { service, name: OVERFLOW_LABEL, right: undefined };
}
