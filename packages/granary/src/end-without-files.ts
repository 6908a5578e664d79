/**
 * Says why the process ends where it may not have as many files open as it takes to load it. Node 20 opens the modules of
 * imports many at once, and shows the first that failed as if it were at fault.
 *
 * @returns a function that ends this, for who says such things itself
 */
export function endWithoutFiles(): () => void {
  const end = (error: unknown) => {
    const { code } = (error ?? {}) as { code?: unknown };
    if (code !== 'EMFILE' && code !== 'ENFILE') return;
    const limit = code === 'EMFILE' ? 'the limit of this process (ulimit -n, LimitNOFILE)' : 'that of the system';
    process.stderr.write(`granary: too few files may be open: raise ${limit}\n`);
    process.exit(1);
  };
  process.on('uncaughtExceptionMonitor', end);
  return () => void process.off('uncaughtExceptionMonitor', end);
}
