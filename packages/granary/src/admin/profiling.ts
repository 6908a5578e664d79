import type { Logger } from '@granary/telemetry';
import { Profiler } from '@granary/telemetry/profiling';
import { isLoopback, type ListenAddress } from '../config/address.js';
import { profilingRoutes } from './profiling-routes.js';
import type { Route } from './route.js';

/** The server's profiler, and on which listeners it may be asked. */
export class Profiling {
  readonly #mode: 'auto' | 'on' | 'off';
  readonly #profiler = new Profiler();

  /** @param mode `telemetry.profiling` */
  constructor(mode: 'auto' | 'on' | 'off', logger: Logger) {
    this.#mode = mode;
    if (mode === 'on')
      this.#profiler
        .startHeapSampling()
        .catch((error: unknown) => logger.warning('telemetry.profiling is on, but there are no profiles', error));
  }

  /** What a listener has of profiles: nothing where it may not. */
  routesFor(listener: ListenAddress): Readonly<Record<string, Route>> {
    const isOn = this.#mode === 'on' || (this.#mode === 'auto' && isLoopback(listener.host));
    return isOn ? profilingRoutes(this.#profiler) : {};
  }

  close(): Promise<void> {
    return this.#profiler.close();
  }
}
