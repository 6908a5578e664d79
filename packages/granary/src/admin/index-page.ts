import type { Answer, Route } from './route.js';

/** What a listener has, for people: a list of its paths with links to those that can be looked at. */
export function indexPage(routes: Readonly<Record<string, Route>>, title = 'Granary', head = '', base = ''): Answer {
  const paths = Object.keys(routes);
  // What is in a folder that has a page of its own is shown there.
  const isInFolder = (path: string) =>
    paths.some((folder) => folder.endsWith('/') && path !== folder && path.startsWith(folder));
  const rows = Object.entries(routes).flatMap(([path, { summary, get }]) => {
    if (isInFolder(path)) return [];
    const shown = escapeHtml(base === '' ? path : path.slice(base.length));
    return `<tr><td>${get ? `<a href="${shown}">${shown}</a>` : shown}</td><td>${escapeHtml(summary)}</td></tr>`;
  });
  const body = [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>`,
    '<style>body{font:16px/1.5 system-ui,sans-serif;margin:2em}td{padding:0 2em .3em 0;vertical-align:top}</style></head>',
    `<body><h1>${escapeHtml(title)}</h1>`,
    head,
    `<table>${rows.join('\n')}</table>`,
    '</body></html>',
    '',
  ].join('\n');
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    body,
    headers: { 'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'" },
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
