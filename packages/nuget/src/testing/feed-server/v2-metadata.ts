import { V2_PROPERTIES } from './v2-atom.js';

const FUNCTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Search: {
    searchTerm: 'Edm.String',
    targetFramework: 'Edm.String',
    includePrerelease: 'Edm.Boolean',
    includeDelisted: 'Edm.Boolean',
  },
  FindPackagesById: { id: 'Edm.String' },
  GetUpdates: {
    packageIds: 'Edm.String',
    versions: 'Edm.String',
    includePrerelease: 'Edm.Boolean',
    includeAllVersions: 'Edm.Boolean',
    targetFrameworks: 'Edm.String',
    versionConstraints: 'Edm.String',
  },
};

/** `$metadata`: what packages look like, and what can be asked. */
export function metadataDocument(): string {
  const properties = V2_PROPERTIES.map(([name, type]) => {
    const key = name === 'Id' || name === 'Version';
    return `<Property Name="${name}" Type="${type}"${key ? ' Nullable="false"' : ''} />`;
  });
  const functions = Object.entries(FUNCTIONS).map(([name, parameters]) => {
    const each = Object.entries(parameters).map(
      ([parameter, type]) => `<Parameter Name="${parameter}" Type="${type}" FixedLength="false" Unicode="false" />`,
    );
    return (
      `<FunctionImport Name="${name}" ReturnType="Collection(NuGetGallery.OData.V2FeedPackage)" ` +
      `EntitySet="Packages" m:HttpMethod="GET">${each.join('')}</FunctionImport>`
    );
  });
  return (
    '<?xml version="1.0" encoding="utf-8"?>\n' +
    '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">' +
    '<edmx:DataServices m:DataServiceVersion="2.0" m:MaxDataServiceVersion="2.0" ' +
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">' +
    '<Schema Namespace="NuGetGallery.OData" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">' +
    '<EntityType Name="V2FeedPackage" m:HasStream="true"><Key><PropertyRef Name="Id" /><PropertyRef Name="Version" /></Key>' +
    `${properties.join('')}</EntityType></Schema>` +
    '<Schema Namespace="NuGetGallery" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">' +
    '<EntityContainer Name="V2FeedContext" m:IsDefaultEntityContainer="true">' +
    `<EntitySet Name="Packages" EntityType="NuGetGallery.OData.V2FeedPackage" />${functions.join('')}` +
    '</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
  );
}

/** What is at the root of the feed. */
export function serviceDocument(base: string): string {
  return (
    '<?xml version="1.0" encoding="utf-8"?>\n' +
    `<service xml:base="${base}/" xmlns="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom">` +
    '<workspace><atom:title type="text">Default</atom:title><collection href="Packages">' +
    '<atom:title type="text">Packages</atom:title></collection></workspace></service>'
  );
}
