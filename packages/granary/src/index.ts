export type { ListenAddress } from './config/address.js';
export { type ConfigSources, configFrom, type LoadedConfig, loadConfig } from './config/load.js';
export { ConfigError, type ConfigMistake } from './config/mistake.js';
export type { Config } from './config/schema.js';
export { ListenError } from './server/listening/listener.js';
export type { RunningServer } from './server/running-server.js';
export { type ServerDependencies, startServer } from './server/start-server.js';
export type { ServerStats } from './server/stats.js';
