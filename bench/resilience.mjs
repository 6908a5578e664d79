// npm run bench -- resilience [--rounds N --ms M]: what the policies cost for each call, beside those of others.
import { contest } from './src/contest.mjs';
import { CONTENDERS, ROWS } from './src/resilience.mjs';

await contest('resilience', CONTENDERS, ROWS);
