import { loggerFor } from '@granary/telemetry';
import { afterEach, describe, expect, it } from 'vitest';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

describe('housekeeping', () => {
  it('that keeps failing is said once, and so is that it works again', async () => {
    const fileSystem = new FaultyFileSystem();
    const said: string[] = [];
    const logger = loggerFor({ write: ({ level, message }) => void said.push(`${level}: ${message}`) });
    const store = await stores.open({ fileSystem, logger });
    await store.maintain();
    const failure = 'error: Housekeeping failed with an error and will be tried until it works';
    const success = 'information: Housekeeping works again';

    fileSystem.fault = (operation) => (operation === 'freeBytes' ? systemError('EIO') : undefined);
    for (let round = 0; round < 3; round++) await store.maintain();
    expect(said).toEqual([failure]);

    fileSystem.fault = () => undefined;
    for (let round = 0; round < 3; round++) await store.maintain();
    expect(said).toEqual([failure, success]);

    fileSystem.fault = (operation) => (operation === 'freeBytes' ? systemError('EIO') : undefined);
    await store.maintain();
    expect(said).toEqual([failure, success, failure]);
    fileSystem.fault = () => undefined;
  });
});
