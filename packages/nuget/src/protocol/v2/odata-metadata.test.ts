import { describe, expect, it } from 'vitest';
import { isNuGetError } from '../../errors.js';
import { parseODataMetadata } from './odata-metadata.js';

const ORIGIN = { source: 'test', url: 'https://feed.test/$metadata' };
const parse = (text: string) => parseODataMetadata(Buffer.from(text), ORIGIN);

const SPLIT = `<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>
  <Schema Namespace="Gallery.OData" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
    <EntityType Name="Other"><Property Name="Nothing"/></EntityType>
    <EntityType Name="V2FeedPackage"><Key><PropertyRef Name="Id"/></Key>
      <Property Name="Id" Type="Edm.String"/><Property Name="IsAbsoluteLatestVersion" Type="Edm.Boolean"/>
      <NavigationProperty Name="Owner"/>
    </EntityType>
  </Schema>
  <Schema Namespace="Gallery" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">
    <EntityContainer Name="Empty"><EntitySet Name="Users" EntityType="Gallery.User"/><FunctionImport Name="Wrong"/></EntityContainer>
    <EntityContainer Name="Context">
      <EntitySet Name="Packages" EntityType="Gallery.OData.V2FeedPackage"/>
      <FunctionImport Name="Search"><Parameter Name="searchTerm"/></FunctionImport>
      <FunctionImport Name="FindPackagesById"/>
    </EntityContainer>
  </Schema></edmx:DataServices></edmx:Edmx>`;

describe('$metadata', () => {
  it('says the functions beside the set of packages, and the properties of these', () => {
    const { functions, properties } = parse(SPLIT);
    expect([...functions]).toEqual(['search', 'findpackagesbyid']);
    expect([...properties]).toEqual(['id', 'isabsolutelatestversion']);
  });

  it('may say nothing of the type', () => {
    const { functions, properties } = parse(
      '<Edmx><EntityContainer><EntitySet Name="packages" EntityType="X"/></EntityContainer></Edmx>',
    );
    expect(functions.size).toBe(0);
    expect(properties.size).toBe(0);
  });

  it('may name no sets, and then has what it names, or everything', () => {
    const sets = /<EntitySet [^>]*>/g;
    expect([...parse(SPLIT.replaceAll(sets, '')).functions]).toEqual(['wrong', 'search', 'findpackagesbyid']);
    expect([...parse(SPLIT.replaceAll(sets, '')).properties]).toContain('isabsolutelatestversion');
    expect(parse('<Edmx Version="1.0"><DataServices/></Edmx>').functions).toContain('search');
  });

  it.each([
    ['no packages', SPLIT.replace('"Packages"', '"Persons"')],
    ['another document', '<service/>'],
    ['a web page', '<!DOCTYPE html><html></html>'],
    ['nothing', ''],
    ['a piece of it', SPLIT.slice(0, 400)],
  ])('is not %s', (_name, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  it('may have as many names as it likes, of which some are kept', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `<FunctionImport Name="F${i}"/>`).join('');
    const text = `<E><EntityContainer><EntitySet Name="Packages" EntityType="X"/>${many}</EntityContainer></E>`;
    expect(parse(text).functions.size).toBeLessThanOrEqual(10_000);
  });

  it('nests no deeper than it has to', () => {
    try {
      parse('<x>'.repeat(100));
      expect.unreachable();
    } catch (error) {
      expect(isNuGetError(error) && error.code).toBe('LIMIT');
    }
  });
});
