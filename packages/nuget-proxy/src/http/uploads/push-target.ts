/** Where galleries take packages: clients put it behind a source that is a bare host. */
const GALLERY = /^\/api\/v2\/package(?=\/|$)/i;

/**
 * Where a push, delete or relist goes. Clients of protocol 2, and newer ones with a source that doesn't end with `.json`,
 * send it to the URL of the source itself, whatever that is: the service index of protocol 3, the folder of all feeds
 * (`{prefix}/`) or of one of them (`{prefix}/{source}/`), or a bare host.
 *
 * @param path as it was sent, without its query
 * @param prefix with a slash before it and none at its end
 */
export function pushTarget(method: string | undefined, path: string, prefix: string): string {
  if (prefix !== '' && GALLERY.test(path)) return path.replace(GALLERY, `${prefix}/v2/package`);
  if (path !== prefix && !path.startsWith(`${prefix}/`)) return path;
  const parts = path
    .slice(prefix.length)
    .split('/')
    .filter((part) => part !== '');
  // An id and a version, except for what is pushed.
  const named = method === 'PUT' ? 0 : 2;
  const at = parts.slice(0, 2).findIndex((part) => part === 'v2' || part === 'v3');
  if (at >= 0) {
    const isOfIndex = parts[at] === 'v3' && parts[at + 1] === 'index.json' && parts.length === at + 2 + named;
    if (!isOfIndex) return path;
    parts[at + 1] = 'package';
  } else {
    const isOfSource = parts.length === named + 1;
    if (!isOfSource && parts.length !== named) return path;
    parts.splice(isOfSource ? 1 : 0, 0, 'v2', 'package');
  }
  return `${prefix}/${parts.join('/')}`;
}
