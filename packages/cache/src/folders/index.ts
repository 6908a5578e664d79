export { FolderLock } from './folder-lock.js';
export { makeFolder } from './make-folder.js';
