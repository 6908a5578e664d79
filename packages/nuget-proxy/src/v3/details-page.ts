import type { PackageRecord } from '../feed/package-record.js';
import type { FeedUrls } from '../http/feed-urls.js';

/** Nothing on the page runs or is fetched, whatever a package says of itself. */
export const DETAILS_HEADERS = [
  'Content-Security-Policy',
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
] as const;

/** A page about a version, for people who come from their client's link to it. */
export function detailsPage(urls: FeedUrls, record: PackageRecord): string {
  const { id, version } = record;
  const plain = version.split('+', 1)[0] ?? version;
  const rows: [name: string, html: string | undefined][] = [
    ['Authors', escapeHtml(record.authors.join(', '))],
    ['Owners', escapeHtml(record.owners.join(', '))],
    ['Published', record.listed ? escapeHtml(record.published ?? '') : 'not listed'],
    [
      'License',
      record.licenseExpression ? escapeHtml(record.licenseExpression) : link(urls.outward(record.licenseUrl)),
    ],
    ['Project', link(urls.outward(record.projectUrl))],
    ['Tags', escapeHtml(record.tags.join(' '))],
    [
      'Deprecated',
      record.deprecation && escapeHtml(record.deprecation.message ?? record.deprecation.reasons.join(', ')),
    ],
    ['Vulnerabilities', record.vulnerabilities?.map(({ advisoryUrl }) => link(urls.outward(advisoryUrl))).join(' ')],
    ['Package', link(urls.package(id, plain))],
  ];
  const title = escapeHtml(`${id} ${version}`);
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body>`,
    `<h1>${title}</h1>`,
    `<p>${escapeHtml(record.description ?? record.summary ?? '')}</p>`,
    `<dl>${rows.map(([name, html]) => (html ? `<dt>${name}</dt><dd>${html}</dd>` : '')).join('\n')}</dl>`,
    '<h2 id="contact">Report a package</h2>',
    '<p>Ask whoever runs this feed, or the package’s project above.</p>',
    '</body></html>\n',
  ].join('\n');
}

function link(url: string | undefined): string | undefined {
  return url && `<a href="${escapeHtml(url)}" rel="noopener noreferrer nofollow">${escapeHtml(url)}</a>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
