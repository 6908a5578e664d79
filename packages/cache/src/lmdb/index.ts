export { createDatabase, DATABASE_FILE } from './create-database.js';
