/** What the folder of the feeds is called. */
export const NUGET_PREFIX = '/nuget';

/** `/nuget/v3/…` and `/nuget/SOURCE/v3/…`, of both protocols: `nuget` may be an instance of the Bazel cache, too. */
const FEED_PATH = /^\/nuget\/(?:[^/?]+\/)?v[23](?:[/?]|$)/;

/** Whether a request is for a feed, by its URL as it was sent. */
export function isNuGetPath(url: string | undefined): boolean {
  return url?.startsWith(`${NUGET_PREFIX}/`) === true && FEED_PATH.test(url);
}
