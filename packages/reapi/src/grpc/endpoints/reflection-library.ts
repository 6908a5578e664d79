import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { file_build_bazel_remote_execution_v2_remote_execution } from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { file_google_bytestream_bytestream } from '../../gen/google/bytestream/bytestream_pb.js';
import { file_grpc_health_v1_health } from '../../gen/grpc/health/v1/health_pb.js';

const FILES = [
  file_build_bazel_remote_execution_v2_remote_execution,
  file_google_bytestream_bytestream,
  file_grpc_health_v1_health,
];

/** A method as the library would give it to a server. */
export interface ReflectionMethod {
  readonly decode: (bytes: Buffer) => unknown;
  readonly encode: (message: unknown) => Buffer;
  readonly handle: (stream: unknown) => void;
}

/** The library's methods by their paths. */
export function reflectionMethods(): ReadonlyMap<string, ReflectionMethod> {
  const methods = new Map<string, ReflectionMethod>();
  const collector: Pick<Server, 'addService'> = {
    addService(definition, handlers) {
      for (const [name, { path, requestDeserialize, responseSerialize }] of Object.entries(definition)) {
        const handle = handlers[name] as ReflectionMethod['handle'];
        methods.set(path, { decode: requestDeserialize, encode: responseSerialize, handle });
      }
    },
  };
  new ReflectionService(packageDefinition()).addToServer(collector as Server);
  return methods;
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
