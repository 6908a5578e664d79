export { checkDatabaseFile } from './check-database-file.js';
export { checkLockFile } from './check-lock-file.js';
export { createDatabase, DATABASE_FILE } from './create-database.js';
export { GroupCommit } from './group-commit.js';
