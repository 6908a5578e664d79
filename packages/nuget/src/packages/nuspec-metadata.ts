import type { PackageMetadata } from '../protocol/model.js';
import type { Nuspec } from './nuspec.js';

/** What a package says of itself, as what a source says that tells nothing of its packages: all of them count as listed. */
export function nuspecMetadata(nuspec: Nuspec): PackageMetadata {
  const { license } = nuspec;
  return {
    id: nuspec.id,
    version: nuspec.version,
    title: nuspec.title,
    description: nuspec.description,
    summary: nuspec.summary,
    releaseNotes: nuspec.releaseNotes,
    copyright: nuspec.copyright,
    language: nuspec.language,
    authors: nuspec.authors,
    owners: nuspec.owners,
    tags: nuspec.tags,
    iconUrl: nuspec.iconUrl,
    projectUrl: nuspec.projectUrl,
    licenseUrl: nuspec.licenseUrl,
    licenseExpression: license?.type === 'expression' ? license.value : undefined,
    requireLicenseAcceptance: nuspec.requireLicenseAcceptance,
    minClientVersion: nuspec.minClientVersion,
    dependencyGroups: nuspec.dependencyGroups,
    listed: true,
    vulnerabilities: [],
  };
}
