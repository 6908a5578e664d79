import { readFile } from 'node:fs/promises';

/**
 * What is wrong where the system lets the process have fewer files open than it may have connections: it closes those that
 * it has no file descriptor for, and nobody is told, neither the log nor the metrics.
 *
 * @param limits what Linux says of the process's limits. Default: the system's own; elsewhere nothing is known.
 */
export async function openFilesWarnings(maxConnections: number, limits = readLimits()): Promise<string[]> {
  const [, files] = /^Max open files +(\d+)/m.exec(await limits) ?? [];
  if (files === undefined || Number(files) > maxConnections) return [];
  return [
    `Only ${files} files may be open at once, so that connections are closed without a word before limits.max_connections (${maxConnections}) are open; raise that limit (ulimit -n, LimitNOFILE), or lower limits.max_connections.`,
  ];
}

async function readLimits(): Promise<string> {
  return readFile('/proc/self/limits', 'utf8').catch(() => '');
}
