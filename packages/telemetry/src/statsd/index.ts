export { StatsDCollector, type StatsDCollectorOptions } from './statsd-collector.js';
