// Writes what is generated from the configuration's schema: granary.example.yaml and docs/configuration.md.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationReference, exampleConfig } from '../packages/granary/dist/config/print.js';

const write = (path, text) => writeFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), text);
write('granary.example.yaml', exampleConfig());
write('docs/configuration.md', configurationReference());
