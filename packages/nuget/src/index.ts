export { isNuGetError, NuGetError, type NuGetErrorCode, PackageNotFoundError, SourceError } from './errors.js';
export { checkPackageId, isPackageId, type PackageIdentity } from './package-identity.js';
