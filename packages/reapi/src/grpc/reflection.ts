import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server, ServerDuplexStream, UntypedHandleCall } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { file_build_bazel_remote_execution_v2_remote_execution } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { file_google_bytestream_bytestream } from '../gen/google/bytestream/bytestream_pb.js';
import { file_grpc_health_v1_health } from '../gen/grpc/health/v1/health_pb.js';
import { type Edge, RunningCall, type ServerCall } from './running-call.js';

const FILES = [
  file_build_bazel_remote_execution_v2_remote_execution,
  file_google_bytestream_bytestream,
  file_grpc_health_v1_health,
];

/** Adds server reflection, v1 and v1alpha, for the services in our own .proto files; it asks for the right to read. */
export function addReflection(server: Server, edge: Edge): void {
  const guarded: Pick<Server, 'addService'> = {
    addService(definition, handlers) {
      const guardedHandlers = Object.fromEntries(
        Object.entries(handlers).map(([name, handler]) => [name, guard(edge, handler)]),
      );
      server.addService(definition, guardedHandlers);
    },
  };
  new ReflectionService(packageDefinition()).addToServer(guarded as Server);
}

/** The library knows no access rules: they are checked before it sees a call. */
function guard(edge: Edge, handler: UntypedHandleCall): UntypedHandleCall {
  const handle = handler as (call: ServerDuplexStream<unknown, unknown>) => void;
  return async (stream: ServerDuplexStream<unknown, unknown>) => {
    const [, service = '', name = ''] = stream.getPath().split('/');
    const call = new RunningCall(edge, { service, name, right: 'read' }, stream as ServerCall);
    try {
      await call.authorize();
      handle(stream);
      stream.once('finish', () => call.succeed());
    } catch (error) {
      stream.emit('error', call.fail(error));
    }
  };
}

/** Our descriptors in the form in which proto-loader would hand them over. */
function packageDefinition(): ConstructorParameters<typeof ReflectionService>[0] {
  const files = new Map<string, Buffer>();
  const collect = (file: DescFile) => {
    for (const dependency of file.dependencies) collect(dependency);
    files.set(file.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  };
  for (const file of FILES) collect(file);
  const fileDescriptorProtos = [...files.values()];
  return { granary: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } };
}
