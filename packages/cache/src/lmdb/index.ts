export { FolderLock } from '../disk/folder-lock.js';
export { checkMagic } from './check-magic.js';
export { createDatabase, DATABASE_FILE } from './create-database.js';
export { GroupCommit } from './group-commit.js';
