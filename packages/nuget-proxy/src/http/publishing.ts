import { checkPackageId, NuGetVersion, type PackageIdentity } from '@granary/nuget';
import type { FeedContent } from '../feed/feed-content.js';
import type { Exchange } from './exchange.js';
import { noSuchPackage } from './http-error.js';

/** Takes a pushed package: 201 when the feed has it. */
export async function pushPackage(exchange: Exchange, feed: FeedContent): Promise<void> {
  exchange.service = 'push';
  await exchange.edge.uploads.receive(exchange, async (received) => {
    try {
      await feed.push(received, exchange.pushCall);
    } catch (error) {
      // Where the package lies meanwhile is nobody's business.
      if (error instanceof Error) error.message = error.message.replaceAll(received.path, 'the package');
      throw error;
    }
  });
  exchange.answer(201, []);
}

/** Takes a version from the lists, or deletes it, as the feed has it: 204. */
export async function deletePackage(exchange: Exchange, feed: FeedContent, identity: PackageIdentity): Promise<void> {
  exchange.service = 'delete';
  if (!(await feed.delete(identity, exchange.pushCall))) throw noSuchPackage();
  exchange.answer(204, []);
}

/** Puts a version on the lists again: 200. */
export async function relistPackage(exchange: Exchange, feed: FeedContent, identity: PackageIdentity): Promise<void> {
  exchange.service = 'relist';
  if (!(await feed.relist(identity, exchange.pushCall))) throw noSuchPackage();
  exchange.answer(200, []);
}

/**
 * A package as a client names it: in any case, its version written in any way.
 *
 * @throws NuGetError `INVALID_PACKAGE_ID`, `INVALID_VERSION`
 */
export function identityOf(id: string, version: string): PackageIdentity {
  return { id: checkPackageId(id), version: NuGetVersion.parse(version) };
}
