import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CollectedSpan, OtlpCollector } from '../packages/telemetry/src/testing/index.js';
import { Bazel, whyNoBazel } from './bazel/bazel.js';
import { writeRepositories } from './bazel/workspace.js';
import { type RunningServer, startServer } from './server.js';

const INVOCATION = '6f1c1f9e-6c35-4d5b-9a55-8a1f4d0c7b11';
const AC = 'build.bazel.remote.execution.v2.ActionCache';

const reason = whyNoBazel();
if (reason) console.log(`Skipped: traces of real Bazel, because ${reason}.`);

describe.skipIf(reason)('a build of Bazel of which everything is traced', () => {
  let scratch: string;
  let collector: OtlpCollector;
  let server: RunningServer;
  let bazel: Bazel;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-bazel-traces-'));
    const flags = writeRepositories(join(scratch, 'repositories'));
    const workspace = join(scratch, 'workspace');
    mkdirSync(workspace);
    writeFileSync(join(workspace, 'WORKSPACE'), '');
    writeFileSync(join(workspace, 'BUILD'), 'genrule(name = "one", outs = ["one.txt"], cmd = "echo 1 > $@")\n');
    bazel = new Bazel(workspace, join(scratch, 'root'), flags);
    collector = await OtlpCollector.start();
    server = await startServer(join(scratch, 'store'), '--telemetry.tracing_endpoint', collector.endpoint);
  });

  afterAll(async () => {
    await bazel?.shutdown();
    await server?.stop();
    await collector?.[Symbol.asyncDispose]();
    // Bazel makes outputs read-only.
    if (scratch) rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  });

  it('says in each span which tool, build and action it was for', async () => {
    const cache = `--remote_cache=grpc://127.0.0.1:${server.grpcPort}`;
    expect((await bazel.build(cache, `--invocation_id=${INVOCATION}`)).exitCode).toBe(0);
    // What waits is sent when the server ends.
    expect(await server.stop()).toBe(0);
    const calls = collector.spans.filter(({ kind }) => kind === 'server');
    const methods = new Set(calls.map(({ name }) => name.replace(/^[\w.]+\//, '')));
    expect([...methods]).toEqual(
      expect.arrayContaining(['GetCapabilities', 'GetActionResult', 'FindMissingBlobs', 'Write', 'UpdateActionResult']),
    );
    for (const { attributes } of calls)
      expect(attributes).toMatchObject({
        'request_metadata.tool_details.tool_name': 'bazel',
        'request_metadata.tool_details.tool_version': '2.1.0',
        'request_metadata.tool_invocation_id': INVOCATION,
      });
    // There is one action. This Bazel is too old to say which target it is of and what kind of action.
    const actions = new Set(calls.map(({ attributes }) => attributes['request_metadata.action_id']));
    expect([...actions]).toEqual(['capabilities', expect.stringMatching(/^[0-9a-f]{64}$/)]);
    const lookUp = collector.only(`${AC}/GetActionResult`);
    expect(lookUp.attributes['rpc.response.status_code']).toBe('NOT_FOUND');
    // Bazel begins no traces of its own: each call is one, from the edge to the disk.
    const [upload] = [...collector.traces().values()].filter(([first]) => first?.name.endsWith('/Write'));
    expect(upload?.map(nameOf)).toEqual(expect.arrayContaining(['proxy.Put', 'store.Commit']));
  });
});

function nameOf({ name }: CollectedSpan): string {
  return name;
}
