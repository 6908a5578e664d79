import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A small workspace with every kind of action that a cache has to deal with. */
const WORKSPACE: Readonly<Record<string, string>> = {
  WORKSPACE: 'workspace(name = "shop")\n',
  BUILD: `load(":directory.bzl", "directory")

cc_library(
    name = "greeting",
    srcs = ["greeting.cc"],
    hdrs = ["greeting.h"],
)

cc_binary(
    name = "hello",
    srcs = ["hello.cc"],
    deps = [":greeting"],
)

cc_test(
    name = "greeting_test",
    size = "small",
    srcs = ["greeting_test.cc"],
    deps = [":greeting"],
)

sh_test(
    name = "shell_test",
    size = "small",
    srcs = ["shell_test.sh"],
)

genrule(
    name = "numbers",
    outs = ["numbers.txt"],
    cmd = "for i in 1 2 3 4 5; do echo $$i; done > $@",
)

genrule(
    name = "sum",
    srcs = [":numbers"],
    outs = ["sum.txt"],
    cmd = "awk '{ s += $$1 } END { print s }' $(location :numbers) > $@",
)

# 12 MiB.
genrule(
    name = "large",
    outs = ["large.bin"],
    cmd = "awk 'BEGIN { for (i = 0; i < 1572864; i++) printf \\"%08d\\", i }' > $@",
)

genrule(
    name = "nothing",
    outs = ["nothing.txt"],
    cmd = "touch $@",
)

directory(name = "directory")
`,
  'directory.bzl': `def _directory_impl(ctx):
    made = ctx.actions.declare_directory(ctx.label.name + "_made")
    ctx.actions.run_shell(
        outputs = [made],
        command = "mkdir -p {0}/deep/er && for i in 1 2 3; do echo file $i > {0}/deep/er/$i.txt; done && echo top > {0}/top.txt".format(made.path),
    )
    return [DefaultInfo(files = depset([made]))]

directory = rule(implementation = _directory_impl)
`,
  'greeting.h': '#include <string>\nstd::string greeting(const std::string& name);\n',
  'greeting.cc': '#include "greeting.h"\nstd::string greeting(const std::string& name) { return "Hello, " + name; }\n',
  'hello.cc':
    '#include <iostream>\n#include "greeting.h"\nint main() { std::cout << greeting("Granary") << std::endl; }\n',
  'greeting_test.cc': '#include "greeting.h"\nint main() { return greeting("you") == "Hello, you" ? 0 : 1; }\n',
  'shell_test.sh': '#!/bin/sh\ntest "$(printf a)" = a\n',
};

const CC_RULES = ['cc_binary', 'cc_import', 'cc_library', 'cc_test', 'cc_toolchain', 'cc_toolchain_suite'];
const CC_TOOLS = ['cc_libc_top_alias', 'cc_toolchain_alias', 'cc_proto_library', 'fdo_prefetch_hints', 'fdo_profile'];
const OBJC_RULES = ['objc_import', 'objc_library', 'objc_proto_library'];
const JAVA_RULES = ['java_binary', 'java_import', 'java_library', 'java_plugin', 'java_runtime', 'java_test'];
const JAVA_TOOLS = ['java_lite_proto_library', 'java_package_configuration', 'java_proto_library', 'java_toolchain'];

/** Stand-ins for repositories that Bazel would fetch: each rule is the one that Bazel has built in. */
const REPOSITORIES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  rules_cc: { 'cc/BUILD': '', 'cc/defs.bzl': natives([...CC_RULES, ...CC_TOOLS, ...OBJC_RULES]) },
  rules_java: { 'java/BUILD': '', 'java/defs.bzl': natives([...JAVA_RULES, ...JAVA_TOOLS]) },
  remote_coverage_tools: {
    BUILD: ['coverage_report_generator', 'lcov_merger']
      .map((name) => `sh_binary(name = "${name}", srcs = ["nothing.sh"], visibility = ["//visibility:public"])\n`)
      .join(''),
    'nothing.sh': '#!/bin/sh\n',
  },
};

function natives(rules: readonly string[]): string {
  return rules.map((rule) => `def ${rule}(**attributes):\n    native.${rule}(**attributes)\n`).join('\n');
}

/** Writes the workspace into a folder. */
export function writeWorkspace(directory: string): void {
  writeFiles(directory, WORKSPACE);
}

/** Writes the stand-ins and answers with the flags that make Bazel use them. */
export function writeRepositories(directory: string): string[] {
  return Object.entries(REPOSITORIES).map(([name, files]) => {
    writeFiles(join(directory, name), { WORKSPACE: `workspace(name = "${name}")\n`, BUILD: '', ...files });
    return `--override_repository=${name}=${join(directory, name)}`;
  });
}

function writeFiles(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    if (path.endsWith('.sh')) chmodSync(file, 0o755);
  }
}
