// npm run bench -- nuget-versions [--rounds N --ms M]: what it costs to read, to compare and to sort versions of packages.
import { contest } from './src/contest.mjs';
import { CONTENDERS, ROWS } from './src/nuget-versions.mjs';

await contest('nuget-versions', CONTENDERS, ROWS);
