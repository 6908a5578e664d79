export { isNuGetError, NuGetError, type NuGetErrorCode, PackageNotFoundError, SourceError } from './errors.js';
export { checkPackageId, isPackageId, type PackageIdentity } from './package-identity.js';
export { SourceCacheContext, type SourceCacheContextOptions } from './source/source-cache-context.js';
