// What an ExportThread runs.
import { parentPort, workerData } from 'node:worker_threads';
import * as api from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { listenForNotes } from './export-notes.js';
import type { ThreadSetup } from './export-thread.js';
import { createOtlpExporter } from './otlp-exporter.js';
import { serveExports, type ThreadPort } from './serve-exports.js';
import { spanOf } from './span-message.js';

const { target, resource, instrumentationScope } = workerData as ThreadSetup;
const { attributes, schemaUrl } = resource;
const origin = {
  resource: resourceFromAttributes(attributes, { ...(schemaUrl !== undefined && { schemaUrl }) }),
  instrumentationScope,
};
const port = parentPort as ThreadPort;
// Global, but of this thread alone.
api.diag.setLogger(listenForNotes((note) => port.postMessage({ note })));
serveExports(port, await createOtlpExporter(target), (message) => spanOf(message, origin, api));
