// npm run bench -- nuget-registration [--rounds N --ms M]: what it costs to read what a feed says of a package with very
// many versions, beside parsing the document alone.
import { contest } from './src/contest.mjs';
import { CONTENDERS, ROWS } from './src/nuget-registration.mjs';

await contest('nuget-registration', CONTENDERS, ROWS);
