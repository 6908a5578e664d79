import { vi } from 'vitest';

/** What a test waits for comes from disks, sockets and processes, which a busy machine may keep for longer than a second. */
const PATIENCE_MS = 10_000;

const { waitFor } = vi;
const patient: typeof waitFor = (callback, options) =>
  waitFor(callback, typeof options === 'number' ? options : { timeout: PATIENCE_MS, ...options });

// Files that share a worker share this object, too.
if (waitFor.name !== patient.name) vi.waitFor = patient;
