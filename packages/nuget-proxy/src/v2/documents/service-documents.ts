import type { FeedUrls } from '../../http/feed-urls.js';
import { type EdmType, PACKAGE_PROPERTIES } from './package-properties.js';
import { XmlWriter } from './xml-writer.js';

const KEYS = ['Id', 'Version'];
/** What can be asked beside lists of packages, and with what: clients look here for what they may use. */
const FUNCTIONS: Readonly<Record<string, Readonly<Record<string, EdmType>>>> = {
  Search: { searchTerm: 'Edm.String', targetFramework: 'Edm.String', includePrerelease: 'Edm.Boolean' },
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

/** What is at the root of a feed. */
export function serviceDocument(urls: FeedUrls): string {
  const xml = new XmlWriter();
  const namespaces = { xmlns: 'http://www.w3.org/2007/app', 'xmlns:atom': 'http://www.w3.org/2005/Atom' };
  xml.element('service', { 'xml:base': `${urls.v2}/`, ...namespaces }, () => {
    xml.element('workspace', {}, () => {
      xml.leaf('atom:title', 'Default');
      xml.element('collection', { href: 'Packages' }, () => xml.leaf('atom:title', 'Packages'));
    });
  });
  return xml.toString();
}

/** `$metadata`: what is said of a package, and what can be asked. */
export function metadataDocument(): string {
  const xml = new XmlWriter();
  const edm = 'http://schemas.microsoft.com/ado/2006/04/edm';
  xml.element('edmx:Edmx', { Version: '1.0', 'xmlns:edmx': 'http://schemas.microsoft.com/ado/2007/06/edmx' }, () => {
    const versions = {
      'm:DataServiceVersion': '2.0',
      'm:MaxDataServiceVersion': '2.0',
      'xmlns:m': 'http://schemas.microsoft.com/ado/2007/08/dataservices/metadata',
    };
    xml.element('edmx:DataServices', versions, () => {
      xml.element('Schema', { Namespace: 'NuGetGallery.OData', xmlns: edm }, () => writePackageType(xml));
      xml.element('Schema', { Namespace: 'NuGetGallery', xmlns: edm }, () => writeContainer(xml));
    });
  });
  return xml.toString();
}

function writePackageType(xml: XmlWriter): void {
  xml.element('EntityType', { Name: 'V2FeedPackage', 'm:HasStream': 'true' }, () => {
    xml.element('Key', {}, () => {
      for (const Name of KEYS) xml.empty('PropertyRef', { Name });
    });
    for (const { name, type, isRequired } of PACKAGE_PROPERTIES) {
      xml.empty('Property', { Name: name, Type: type, Nullable: isRequired ? 'false' : undefined });
    }
  });
}

function writeContainer(xml: XmlWriter): void {
  xml.element('EntityContainer', { Name: 'V2FeedContext', 'm:IsDefaultEntityContainer': 'true' }, () => {
    xml.empty('EntitySet', { Name: 'Packages', EntityType: 'NuGetGallery.OData.V2FeedPackage' });
    for (const [Name, parameters] of Object.entries(FUNCTIONS)) {
      const returned = { ReturnType: 'Collection(NuGetGallery.OData.V2FeedPackage)', EntitySet: 'Packages' };
      xml.element('FunctionImport', { Name, ...returned, 'm:HttpMethod': 'GET' }, () => {
        for (const [name, Type] of Object.entries(parameters)) xml.empty('Parameter', { Name: name, Type });
      });
    }
  });
}
