import type { LevelControl, LogLevel } from '@granary/telemetry';
import type { Config } from '../config/schema.js';

/**
 * Reads the configuration again and sets the level of the log that it says, for good: what was set meanwhile, for a time
 * or not, is forgotten.
 *
 * @param load reads the configuration from where it came from at the start
 * @throws ConfigError when the configuration is wrong; the level stays what it was
 */
export async function reloadLogLevel(load: () => Promise<Config>, control: LevelControl): Promise<LogLevel> {
  const { telemetry } = await load();
  control.set(telemetry.log_level);
  return telemetry.log_level;
}
