export { Authenticator, type AuthenticatorOptions, type AuthHeaders, type Challenge } from './auth/authenticator.js';
export { type ConfiguredAuthenticatorOptions, configuredAuthenticator } from './auth/configured-authenticator.js';
export {
  basicCredentials,
  bearerCredentials,
  type CredentialProvider,
  type CredentialRequest,
  type Credentials,
} from './auth/credentials.js';
export { externalEndpointProvider } from './auth/external-endpoints.js';
export type { ConfigFile, ConfigText } from './config/config-file.js';
export type { ConfigFilesOptions } from './config/config-files.js';
export { type NuGetLocations, nugetLocations, type PlatformOptions } from './config/locations.js';
export { loadNuGetConfig, NuGetConfig } from './config/nuget-config.js';
export type { PackageSource } from './config/package-sources.js';
export type { ConfiguredCredentials } from './config/source-credentials.js';
export { type SourceCredentials, SourceEditor, type SourceSettings } from './config/source-editor.js';
export { isNuGetError, NuGetError, type NuGetErrorCode, PackageNotFoundError, SourceError } from './errors.js';
export { isCompatible } from './frameworks/compatibility.js';
export type { FrameworkParts } from './frameworks/framework-parts.js';
export { type NearestOptions, nearestFramework } from './frameworks/nearest.js';
export { NuGetFramework } from './frameworks/nuget-framework.js';
export type { CacheScan } from './http-cache/cache-janitor.js';
export type { CachedFile } from './http-cache/cached-file.js';
export {
  type CacheBody,
  type CacheKeepOptions,
  type CacheSetOptions,
  type FileValidator,
  HttpCache,
  type HttpCacheOptions,
} from './http-cache/http-cache.js';
export type { TemporaryFile } from './http-cache/temporary-files.js';
export type { StoredValidators, Validators } from './http-cache/validators.js';
export { assetFit, type PackageAssets } from './install/asset-fit.js';
export { clientPackages } from './install/client-packages.js';
export { installedDependencies } from './install/installed-dependencies.js';
export {
  type InstallEvent,
  type InstallOptions,
  type InstallResult,
  PackageInstaller,
  type PackageInstallerOptions,
} from './install/package-installer.js';
export type { OpenedPackage, PackageOpener } from './install/package-opener.js';
export { type InstalledPaths, PackagesFolder } from './install/packages-folder.js';
export { type CacheType, type NuGetCacheState, type NuGetMetrics, noopNuGetMetrics } from './metrics.js';
export { registryNuGetMetrics } from './metrics-registry.js';
export { checkPackageId, isPackageId, type PackageIdentity } from './package-identity.js';
export { type ExtractPackageOptions, extractPackage, isInstalledFile } from './packages/extract.js';
export { NupkgReader, type NupkgReaderOptions, type PackageFile } from './packages/nupkg-reader.js';
export {
  type ContentFilesRule,
  type Nuspec,
  type PackageLicense,
  type PackageRepository,
  type PackageType,
  type ParseNuspecOptions,
  parseNuspec,
  readNuspec,
} from './packages/nuspec.js';
export type { FrameworkItems } from './packages/nuspec-groups.js';
export type { RandomAccessInput, RandomAccessSource } from './packages/random-access.js';
export { type VerifyPackageOptions, verifyPackage } from './packages/verify-package.js';
export type { PackageLimits } from './packages/zip-directory.js';
export { readWantedPackages, type WantedPackagesOptions } from './projects/read-wanted-packages.js';
export type { ProjectDependencies, WantedPackages } from './projects/wanted-packages.js';
export { shownUrl } from './protocol/endpoint-url.js';
export type {
  CallOptions,
  DocumentRequest,
  Feed,
  PackageRest,
  PackageStream,
  SendRequest,
  StreamOptions,
} from './protocol/feed.js';
export type {
  DependencyGroup,
  KnownVulnerability,
  PackageDependency,
  PackageDeprecation,
  PackageMetadata,
  PackageVulnerability,
  RegistrationPagePlace,
  SearchOptions,
  SearchPage,
  SearchResult,
  VulnerabilityIndex,
  VulnerabilitySeverity,
} from './protocol/model.js';
export type { FileOptions, Provider, PushedPackage, PushOptions } from './protocol/provider.js';
export type { V2Capabilities } from './protocol/v2/v2-capabilities.js';
export { type GetUpdatesOptions, V2Provider, type V2ProviderOptions } from './protocol/v2/v2-provider.js';
export type { V2Limits } from './protocol/v2/v2-source.js';
export {
  type RepositoryCertificate,
  type RepositorySignatures,
  SHA256_OID,
} from './protocol/v3/repository-signatures.js';
export type { ServiceEndpoint, ServiceIndex, ServiceResource } from './protocol/v3/service-index.js';
export type { PackagePages } from './protocol/v3/templates.js';
export { V3Provider, type V3ProviderOptions } from './protocol/v3/v3-provider.js';
export type { AuditOptions } from './resolver/audit.js';
export { type ClientDependenciesOptions, clientDependencies } from './resolver/client-dependencies.js';
export type {
  DependencyGraph,
  DependencyNode,
  DependencyOutcome,
  ResolvedPackage,
} from './resolver/dependency-graph.js';
export type {
  DependencyCallOptions,
  DependencyProvider,
  GroupFit,
  SelectedDependencies,
} from './resolver/dependency-provider.js';
export type { Diagnostic, DiagnosticCode } from './resolver/diagnostic.js';
export { projectFramework } from './resolver/project-framework.js';
export { type ResolveOptions, resolveDependencies } from './resolver/resolve-dependencies.js';
export { sdkFallbacks } from './resolver/sdk-fallbacks.js';
export { selectDependencies } from './resolver/select-dependencies.js';
export { HttpFeed, type HttpFeedOptions } from './source/http-feed.js';
export {
  type ListVersionsOptions,
  NuGetClient,
  type NuGetClientOptions,
  type NuGetClientSource,
  type SourceMapping,
} from './source/nuget-client.js';
export { type PackagePatterns, PackageSourceMapping } from './source/package-source-mapping.js';
export type { PackageBytes, PackageDownload } from './source/packages/package-download.js';
export type { DownloadOptions } from './source/packages/package-downloads.js';
export type { PackageHash } from './source/packages/package-hash.js';
export { PartialVersionsError } from './source/partial-versions-error.js';
export { type Protocol, ProviderSelection, type ProviderSelectionOptions } from './source/provider-selection.js';
export { SourceCache, type SourceCacheOptions, type SourceDocuments } from './source/source-cache.js';
export { SourceCacheContext, type SourceCacheContextOptions } from './source/source-cache-context.js';
export { SourceRepository, type SourceRepositoryOptions, type VersionLike } from './source/source-repository.js';
export { SourcesError } from './source/sources-error.js';
export { type FloatBehavior, FloatRange } from './versions/float-range.js';
export { NuGetVersion } from './versions/nuget-version.js';
export { type VersionBounds, VersionRange } from './versions/version-range.js';
