export { Authenticator, type AuthenticatorOptions, type AuthHeaders, type Challenge } from './auth/authenticator.js';
export {
  basicCredentials,
  bearerCredentials,
  type CredentialProvider,
  type CredentialRequest,
  type Credentials,
} from './auth/credentials.js';
export { isNuGetError, NuGetError, type NuGetErrorCode, PackageNotFoundError, SourceError } from './errors.js';
export { checkPackageId, isPackageId, type PackageIdentity } from './package-identity.js';
export { SourceCacheContext, type SourceCacheContextOptions } from './source/source-cache-context.js';
export { type FloatBehavior, FloatRange } from './versions/float-range.js';
export { NuGetVersion } from './versions/nuget-version.js';
export { type VersionBounds, VersionRange } from './versions/version-range.js';
