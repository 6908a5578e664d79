import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Enough for every build; more is a pattern that was meant otherwise. */
const MAX_ENTRIES = 100_000;
const WILDCARD = /[*?]/;

/**
 * The files that patterns mean, as NuGet's own clients have them: `out/*.nupkg`, and `**` for folders however deep. Not
 * all shells put names in their place, and quoted ones nobody does. What is there by the very name is that file.
 *
 * @throws Error for a pattern that no file fits
 */
export async function filesOf(patterns: readonly string[]): Promise<readonly string[]> {
  const files = new Set<string>();
  for (const pattern of patterns) {
    if (!WILDCARD.test(pattern) || (await isThere(pattern))) {
      files.add(pattern);
      continue;
    }
    const found = await expand(pattern);
    if (found.length === 0) throw new Error(`${pattern}: there is no such file`);
    for (const file of found) files.add(file);
  }
  return [...files];
}

async function expand(pattern: string): Promise<string[]> {
  const steps = (process.platform === 'win32' ? pattern.replaceAll('\\', '/') : pattern).split('/');
  const first = steps.findIndex((step) => WILDCARD.test(step));
  const start = steps.slice(0, first).join('/');
  // A slash in front is the root, and nothing in front the working directory.
  const folder = first === 0 ? '' : start || '/';
  const fits = new RegExp(`^${source(steps.slice(first))}$`, process.platform === 'win32' ? 'i' : '');
  const maxDepth = steps.includes('**') ? Number.POSITIVE_INFINITY : steps.length - first;
  const found: string[] = [];
  let entries = 0;
  const walk = async (path: string, depth: number): Promise<void> => {
    for (const entry of await readdir(join(folder, path) || '.', { withFileTypes: true })) {
      if (++entries > MAX_ENTRIES) throw new Error(`${pattern}: there are more than ${MAX_ENTRIES} files to look at`);
      const name = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < maxDepth) await walk(name, depth + 1);
      } else if (fits.test(name)) {
        found.push(join(folder, name));
      }
    }
  };
  if (folder === '' || (await isThere(folder))) await walk('', 1);
  return found.sort();
}

/** Steps of a path with wildcards as a regular expression. */
function source(steps: readonly string[]): string {
  return steps
    .map((step, at) => {
      if (step === '**') return at === steps.length - 1 ? '.*' : '(?:[^/]+/)*';
      const text = step
        .replace(/[\\^$.+()[\]{}|]/g, '\\$&')
        .replaceAll('*', '[^/]*')
        .replaceAll('?', '[^/]');
      return at === steps.length - 1 ? text : `${text}/`;
    })
    .join('');
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
