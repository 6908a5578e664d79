export { FeedUnavailableError } from './errors.js';
