/** Requests of a feed that are under way at the same time for one request of a client. */
export const AT_ONCE = 8;

/** The results in the order of the items, of which a few are worked on at a time. Rejects with the first failure. */
export async function mapAtOnce<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(work))));
  }
  return results;
}
