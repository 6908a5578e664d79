/**
 * Keeps out of sight what ioredis puts into its errors: the command with its arguments, a password or a value among them,
 * which whoever logs a failure with its causes would log too. Who asks for `command` still finds it.
 */
export function hideCommand(error: unknown): void {
  if (!(error instanceof Error)) return;
  if (Object.hasOwn(error, 'command')) Object.defineProperty(error, 'command', { enumerable: false });
  // Of a cluster: what the last node said that was asked.
  if ('lastNodeError' in error) hideCommand(error.lastNodeError);
}
