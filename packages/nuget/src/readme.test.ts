import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import * as nuget from './index.js';
import * as testing from './testing/index.js';

const JSON_PACKAGE = testing.buildPackage({
  id: 'Contoso.Json',
  version: '2.0.1',
  description: 'Reads and writes JSON.',
  authors: 'Ann',
  dependencyGroups: [{ targetFramework: 'net8.0' }],
  files: { 'lib/net8.0/Contoso.Json.dll': 'code' },
});
const WEB_PACKAGE = testing.buildPackage({
  id: 'Contoso.Web',
  version: '2.0.0',
  dependencies: [{ id: 'Contoso.Json', version: '2.0.1' }],
});
const OURS: Readonly<Record<string, object>> = { '@granary/nuget': nuget, '@granary/nuget/testing': testing };
/** The feed that examples ask. */
const FEED = 'https://feed.example/v3/index.json';
const WORKING_DIRECTORY = process.cwd();

let folder: string;
let feed: testing.FeedServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nuget-readme-'));
  process.chdir(folder);
  feed = await testing.startFeedServer({ packages: [JSON_PACKAGE, WEB_PACKAGE] });
});
afterEach(async () => {
  process.chdir(WORKING_DIRECTORY);
  await feed.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The examples in JavaScript of a page, in order. */
function examples(page: string): readonly string[] {
  const text = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/```js\n([\s\S]+?)```/g)].map(([, code = '']) => code);
}

/** Runs an example against the feed of the test in its folder; answers with what it printed. */
async function run(code: string, ...words: readonly string[]): Promise<string> {
  let body = code.replace(
    /^import \{([^}]+)\} from '(.+)';$/gm,
    (_, names: string, from: string) => `const {${names}} = await load('${from}');`,
  );
  body = body.replaceAll(FEED, feed.v3Url);
  const printed: string[] = [];
  const print = (...values: readonly unknown[]): void => void printed.push(values.join(' '));
  const load = async (name: string) => OURS[name] ?? import(name);
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  const started = new AsyncFunction('load', 'console', 'process', body);
  await started(load, { log: print, error: print }, { argv: ['node', 'example.mjs', ...words], env: {} });
  return printed.join('\n');
}

it('the README downloads a package, and the second time from the cache', async () => {
  const [download = ''] = examples('README.md');
  expect(await run(download)).toBe(`Contoso.Json 2.0.1, ${JSON_PACKAGE.length} bytes from feed`);
  expect(readFileSync(join(folder, 'Contoso.Json.2.0.1.nupkg')).equals(JSON_PACKAGE)).toBe(true);
  feed.requests.clear();
  expect(await run(download)).toContain('from the cache');
  expect(feed.requests.length).toBe(0);
});

it('the README looks into a package', async () => {
  writeFileSync(join(folder, 'Contoso.Json.2.0.1.nupkg'), JSON_PACKAGE);
  const [, look = ''] = examples('README.md');
  const [first, files, hash] = (await run(look)).split('\n');
  expect(first).toBe('Contoso.Json 2.0.1 is for net8.0');
  expect(files).toContain('lib/net8.0/Contoso.Json.dll');
  expect(Buffer.from(hash ?? '', 'base64')).toHaveLength(64);
  expect(existsSync(join(folder, 'contoso-json/lib/net8.0/Contoso.Json.dll'))).toBe(true);
});

it('the README tests against a feed that fails', async () => {
  const [, , faults = ''] = examples('README.md');
  expect(await run(faults)).toMatch(/^\d+ bytes after 2 attempts$/);
});

it('the page about feeds downloads a package', async () => {
  const [versions = ''] = examples('../../docs/nuget-client.md');
  expect(await run(versions, 'Contoso.Json', feed.v3Url)).toBe(
    `Contoso.Json 2.0.1 by Ann: Reads and writes JSON.\n${JSON_PACKAGE.length} bytes from feed`,
  );
});

it('the page about feeds pushes a package, and deletes it', async () => {
  const pushed = testing.buildPackage({ id: 'Contoso.Text', version: '1.3.0' });
  writeFileSync(join(folder, 'Contoso.Text.1.3.0.nupkg'), pushed);
  const [, push = ''] = examples('../../docs/nuget-client.md');
  expect(await run(push)).toBe('true');
  expect(feed.requests.targets().filter((target) => target.includes('/package'))).toHaveLength(2);
});

it('the page about versions prints what it says', async () => {
  const [code = ''] = examples('../../docs/nuget-versions.md');
  const page = readFileSync(new URL('../../../docs/nuget-versions.md', import.meta.url), 'utf8');
  const [, printed] = /^prints\n\n```\n([\s\S]+?)\n```$/m.exec(page) ?? [];
  expect(await run(code)).toBe(printed);
});

it('the page about restores resolves and installs', async () => {
  const [restore = ''] = examples('../../docs/nuget-restore.md');
  expect((await run(restore, feed.v3Url)).split('\n').sort()).toEqual([
    'Contoso.Json 2.0.1 installed',
    'Contoso.Web 2.0.0 installed',
  ]);
  expect(existsSync(join(folder, 'packages/contoso.json/2.0.1/.nupkg.metadata'))).toBe(true);
});
