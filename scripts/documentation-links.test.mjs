// Links between pages, and into their sections, lead somewhere; and every page for users is found from the README.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './setup.mjs';

const LINK = /\]\(([^)\s]+)\)/g;

const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'bench/README.md', 'e2e/README.md']
  .concat(markdownIn('docs'), markdownIn('docs/decisions'))
  .concat(readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}/README.md`));

function markdownIn(folder) {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
}

const proseOf = (page) => readFileSync(join(ROOT, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');

/** The files that a page links to, with the section if one is named; relative to the root. */
function linksOf(page) {
  const targets = [
    ...proseOf(page)
      .replaceAll(/`[^`\n]*`/g, '')
      .matchAll(LINK),
  ].map(([, target]) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path, section] = target.split('#');
      const file = path === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), path));
      return { target, file, section };
    });
}

/** The names of a page's sections, as those who show Markdown make them of headings. */
function sectionsOf(page) {
  const headings = [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading.replaceAll(LINK, ']'));
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('the documentation', () => {
  it.each(pages)('has only links that lead somewhere in %s', (page) => {
    const broken = linksOf(page).filter(
      ({ file, section }) =>
        !existsSync(join(ROOT, file)) || (section !== undefined && !sectionsOf(file).includes(section)),
    );
    expect(broken.map(({ target }) => target)).toEqual([]);
  });

  it('is found from the README, page by page', () => {
    const found = new Set(linksOf('README.md').map(({ file }) => file));
    const wanted = pages.filter((page) => page.startsWith('packages/') || dirname(page) === 'docs');
    expect(wanted.filter((page) => !found.has(page))).toEqual([]);
  });

  it('lists every decision', () => {
    const listed = new Set(linksOf('docs/decisions/README.md').map(({ file }) => file));
    const decisions = markdownIn('docs/decisions').filter((page) => basename(page) !== 'README.md');
    expect(decisions.filter((page) => !listed.has(page))).toEqual([]);
  });
});
