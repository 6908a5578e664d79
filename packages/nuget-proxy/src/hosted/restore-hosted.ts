import { NupkgReader } from '@granary/nuget';
import type { Logger } from '@granary/telemetry';
import type { HostedInventory } from './hosted-inventory.js';
import { recordOfPushed } from './pushed-package.js';

/** Packages that are kept anew at once, so that the list of them is synced once for all. */
const KEPT_AT_ONCE = 500;
const LOST_SHOWN = 10;

/**
 * Brings what is hosted back as it was at the last stop. What pushes left that were interrupted is removed; what the index
 * or the list of what is never evicted lacks, because it was lost or is an older copy, is taken from the other one.
 */
export async function restoreHosted(inventory: HostedInventory, logger: Logger): Promise<void> {
  await inventory.load();
  for (const identity of inventory.arriving()) await inventory.takeBack(identity);
  await keepAll(inventory, logger);
  await enterKept(inventory, logger);
}

/** The list of what is never evicted may be older than the index, or gone. */
async function keepAll(inventory: HostedInventory, logger: Logger): Promise<void> {
  const lost: string[] = [];
  const keep = async (key: string) => {
    if (!(await inventory.keep(key))) lost.push(key);
  };
  let some: string[] = [];
  for (const key of inventory.catalog.keys()) {
    if (some.push(key) < KEPT_AT_ONCE) continue;
    await Promise.all(some.map(keep));
    some = [];
  }
  await Promise.all(some.map(keep));
  if (lost.length === 0) return;
  const shown = lost.slice(0, LOST_SHOWN).join(', ');
  logger.error('The bytes of {Count} packages are gone: push them again ({Packages})', lost.length, shown);
}

/** The index may be older than what is kept, or gone. Whether a version was listed is lost with it. */
async function enterKept(inventory: HostedInventory, logger: Logger): Promise<void> {
  let entered = 0;
  for await (const { id, version } of inventory.keptBesides()) {
    const identity = { id, version };
    const stored = await inventory.bytes(identity);
    if (stored === undefined) continue;
    await using reader = await NupkgReader.open(stored.source());
    await inventory.enter(identity, recordOfPushed(await reader.nuspec(), stored, stored.lastModified));
    entered++;
  }
  if (entered > 0)
    logger.warning('{Count} packages were not in the index: they are again, all of them listed', entered);
}
