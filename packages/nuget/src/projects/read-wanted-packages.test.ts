import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readWantedPackages, type WantedPackagesOptions } from './read-wanted-packages.js';
import type { ProjectDependencies } from './wanted-packages.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-projects-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, content: string | object): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

async function read(name: string, content: string | object, options: WantedPackagesOptions = { environment: {} }) {
  const wanted = await readWantedPackages(await write(name, content), options);
  return {
    packages: wanted.packages.map(({ id, version }) => `${id} ${version.toNormalizedString()}`),
    projects: wanted.projects.map(wishesOf),
    ...(wanted.restored.length > 0 && { restored: wanted.restored.map(wishesOf) }),
    problems: wanted.problems.map((problem) => problem.replaceAll(`${folder}/`, '')),
  };
}

const wishesOf = ({ framework, dependencies }: ProjectDependencies) =>
  `${framework.shortFolderName}: ${dependencies.map(({ id, range }) => `${id} ${range}`).join(', ')}`;

const project = (body: string, framework = 'net8.0') =>
  `<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>${framework}</TargetFramework></PropertyGroup>${body}</Project>`;

describe('packages.lock.json', () => {
  it('names every package of every framework, and no project', async () => {
    const lock = {
      version: 2,
      dependencies: {
        'net8.0': {
          'Newtonsoft.Json': { type: 'Direct', requested: '[13.0.1, )', resolved: '13.0.1', contentHash: 'x' },
          'System.Memory': { type: 'Transitive', resolved: '4.5.5' },
          Central: { type: 'CentralTransitive', resolved: '1.0.0-beta.1' },
          our: { type: 'Project', dependencies: { 'System.Memory': '[4.5.5, )' } },
        },
        'net8.0/linux-x64': { 'runtime.linux-x64': { type: 'Transitive', resolved: '1.2.3.4' } },
        net472: { Broken: { type: 'Direct' } },
      },
    };
    expect(await read('packages.lock.json', lock)).toEqual({
      packages: ['Newtonsoft.Json 13.0.1', 'System.Memory 4.5.5', 'Central 1.0.0-beta.1', 'runtime.linux-x64 1.2.3.4'],
      projects: [],
      problems: ['packages.lock.json: net472: Broken has no version'],
    });
  });

  it('has several frameworks that are the same under the names that the project gives them, from version 3 on', async () => {
    const lock = {
      version: 3,
      apple: {
        framework: 'net10.0',
        dependencies: {
          'Newtonsoft.Json': { type: 'Direct', requested: '[13.0.4, )', resolved: '13.0.4', contentHash: 'x' },
          our: { type: 'Project' },
        },
      },
      'apple/linux-x64': { framework: 'net10.0', dependencies: { Native: { type: 'Transitive', resolved: '1.0.0' } } },
      dependencies: { framework: 'net10.0', dependencies: { Broken: { type: 'Direct' } } },
      other: { Strange: { resolved: '1.0.0' } },
    };
    expect(await read('packages.lock.json', lock)).toEqual({
      packages: ['Newtonsoft.Json 13.0.4', 'Native 1.0.0'],
      projects: [],
      problems: ['packages.lock.json: dependencies: Broken has no version'],
    });
    await expect(read('packages.lock.json', { version: 3 })).rejects.toThrow('there are no dependencies in it');
  });
});

describe('project.assets.json', () => {
  it('names what was taken and what was only downloaded', async () => {
    const assets = {
      version: 3,
      libraries: {
        'Newtonsoft.Json/13.0.1': { sha512: 'x', type: 'package', path: 'newtonsoft.json/13.0.1' },
        'Our/1.0.0': { type: 'project', path: '../our' },
        '../evil/1.0': { type: 'package' },
      },
      project: {
        frameworks: {
          'net8.0': {
            downloadDependencies: [
              { name: 'Microsoft.NETCore.App.Ref', version: '[8.0.11, 8.0.11]' },
              { name: 'Two', version: '[1.0.0, 1.0.0];[2.0.0, 2.0.0]' },
              { name: 'Any', version: '*' },
            ],
          },
        },
      },
    };
    expect(await read('obj/project.assets.json', `\ufeff${JSON.stringify(assets)}`)).toEqual({
      packages: ['Newtonsoft.Json 13.0.1', 'Microsoft.NETCore.App.Ref 8.0.11', 'Two 1.0.0', 'Two 2.0.0'],
      projects: [],
      problems: [
        'obj/project.assets.json: "../evil/1.0" is no id and version',
        'obj/project.assets.json: "Any" is to be downloaded in no exact version',
      ],
    });
  });
});

describe('project.assets.json, for those who go the way of its restore again', () => {
  it('says what the project refers to, and the projects that it refers to, for each framework', async () => {
    const assets = {
      version: 3,
      targets: {
        '.NETStandard,Version=v2.0': {},
        'net8.0': {
          'Our/1.0.0': { type: 'project', dependencies: { Text: '[1.0,2.0)', Base: '1.0.0' } },
          'base/2.0.0': { type: 'project', framework: '.NETStandard,Version=v2.0' },
          'Json/13.0.1': { type: 'package', dependencies: { Other: '1.0.0' } },
        },
        'net8.0/linux-x64': { 'Our/1.0.0': { type: 'project', dependencies: { Text: '1.5.0' } } },
      },
      libraries: { 'Json/13.0.1': { type: 'package' } },
      project: {
        frameworks: {
          'net8.0': {
            dependencies: {
              Json: { target: 'Package', version: '[13.0.1, )' },
              Our: { target: 'Project', version: '[1.0.0, )' },
              Wild: { version: '[2.*, )' },
              Broken: { target: 'Package', version: 'two' },
            },
          },
          'netstandard2.0': { dependencies: { 'NETStandard.Library': { target: 'Package', version: '[2.0.3, )' } } },
          'an alias': { dependencies: { Json: { target: 'Package', version: '[13.0.1, )' } } },
          '.NETFramework,Version=vX': { dependencies: { Json: { target: 'Package', version: '[13.0.1, )' } } },
        },
      },
    };
    expect(await read('project.assets.json', assets)).toEqual({
      packages: ['Json 13.0.1'],
      projects: [],
      restored: [
        'net8.0: Json [13.0.1, ), Wild [2.*, )',
        'netstandard2.0: NETStandard.Library [2.0.3, )',
        'net8.0: Text [1.0.0, 2.0.0)',
        'net8.0: Text [1.5.0, )',
      ],
      problems: [],
    });
  });

  it('has the frameworks under the names that the project gives them, from version 4 on', async () => {
    const json = { Json: { target: 'Package', version: '[13.0.1, )' } };
    const assets = {
      version: 4,
      targets: {
        'net10.0-android': { 'Our/1.0.0': { type: 'project', dependencies: { Text: '1.0.0' } } },
        'apple/linux-x64': { 'Our/1.0.0': { type: 'project', dependencies: { Text: '1.5.0' } } },
      },
      libraries: { 'Json/13.0.1': { type: 'package' } },
      project: {
        frameworks: {
          'net10.0-android': { framework: 'net10.0-android36.0', targetAlias: 'net10.0-android', dependencies: json },
          apple: { framework: 'net10.0', targetAlias: 'apple', dependencies: json },
        },
      },
    };
    expect(await read('project.assets.json', assets)).toEqual({
      packages: ['Json 13.0.1'],
      projects: [],
      restored: [
        'net10.0-android36.0: Json [13.0.1, )',
        'net10.0: Json [13.0.1, )',
        'net10.0-android36.0: Text [1.0.0, )',
        'net10.0: Text [1.5.0, )',
      ],
      problems: [],
    });
  });
});

describe('packages.config', () => {
  it('names every package', async () => {
    const config =
      '<?xml version="1.0"?><packages><package id="NUnit" version="2.6.4" targetFramework="net45"/><package id="X"/></packages>';
    expect(await read('packages.config', config)).toEqual({
      packages: ['NUnit 2.6.4'],
      projects: [],
      problems: ['packages.config: X has no version'],
    });
  });
});

describe('a project', () => {
  it('for Windows is for the version of it that the SDK means', async () => {
    const body = '<ItemGroup><PackageReference Include="A" Version="1.0" /></ItemGroup>';
    const { projects } = await read('a.csproj', project(body, 'net8.0-windows'));
    expect(projects).toEqual(['net8.0-windows7.0: A [1.0.0, )']);
  });

  it('refers to packages by attributes and elements, in all ways that ranges are written', async () => {
    const body = `<ItemGroup>
      <PackageReference Include="A" Version="1.0" />
      <PackageReference Include="B"><Version>[2.0,3.0)</Version><PrivateAssets>all</PrivateAssets></PackageReference>
      <PackageReference Include="C;D" Version="1.*" />
      <PackageReference Include="Gone" Version="1.0" /><PackageReference Remove="gone" />
      <PackageReference Update="A" Version="1.1" />
      <PackageDownload Include="Tool" Version="[1.0];[2.0]" />
    </ItemGroup>`;
    expect(await read('p.csproj', project(body))).toEqual({
      packages: ['Tool 1.0.0', 'Tool 2.0.0'],
      projects: ['net8.0: A [1.1.0, ), B [2.0.0, 3.0.0), C [1.*, ), D [1.*, )'],
      problems: [],
    });
  });

  it('has conditions and properties, for each of its frameworks', async () => {
    const body = `<Project Sdk="Microsoft.NET.Sdk">
      <PropertyGroup>
        <TargetFrameworks>net8.0;netstandard2.0;net472</TargetFrameworks>
        <JsonVersion>13.0.1</JsonVersion>
        <JsonVersion Condition="'$(TargetFramework)' == 'net472'">12.0.3</JsonVersion>
      </PropertyGroup>
      <ItemGroup><PackageReference Include="Json" Version="$(JsonVersion)" /></ItemGroup>
      <ItemGroup Condition="!$([MSBuild]::IsTargetFrameworkCompatible('$(TargetFramework)', 'net5.0'))">
        <PackageReference Include="System.Memory" Version="4.5.5" Condition="'$(TargetFramework)' != 'net472'" />
      </ItemGroup>
      <Choose>
        <When Condition="$([MSBuild]::GetTargetFrameworkIdentifier('$(TargetFramework)')) == '.NETFramework'">
          <ItemGroup><PackageReference Include="Old" Version="1.0" /></ItemGroup>
        </When>
        <Otherwise><ItemGroup><PackageReference Include="New" Version="1.0" /></ItemGroup></Otherwise>
      </Choose>
    </Project>`;
    expect(await read('p.csproj', body)).toEqual({
      packages: [],
      projects: [
        'net8.0: Json [13.0.1, ), New [1.0.0, )',
        'netstandard2.0: Json [13.0.1, ), System.Memory [4.5.5, ), New [1.0.0, ), NETStandard.Library [2.0.3, )',
        'net472: Json [12.0.3, ), Old [1.0.0, )',
      ],
      problems: [],
    });
  });

  it('takes the first of references that are there twice, and leaves out what is excluded', async () => {
    const body = `<ItemGroup>
      <PackageReference Include="A" Version="1.0" /><PackageReference Include="a" Version="2.0" />
      <packagereference Include="B;C;D" Exclude="c; X" Version="1.0" />
    </ItemGroup>`;
    expect(await read('p.csproj', project(body))).toEqual({
      packages: [],
      projects: ['net8.0: A [1.0.0, ), B [1.0.0, ), D [1.0.0, )'],
      problems: [],
    });
  });

  it('has the variables of the environment as properties, which files may set anew', async () => {
    const body = `<PropertyGroup><Own>1.0</Own></PropertyGroup><ItemGroup>
      <PackageReference Include="A" Version="$(A_VERSION)" /><PackageReference Include="B" Version="$(own)" />
      <PackageReference Include="C" Version="1.0" Condition="'$(ci)' == 'true' and '$(Configuration)' == 'Release'" />
      <PackageReference Include="D" Version="1.0" Condition="'$(Platform)' == 'AnyCPU' and '$(EMPTY)' == ''" />
    </ItemGroup>`;
    const environment = {
      a_version: '3.1',
      OWN: '9.0',
      CI: 'true',
      CONFIGURATION: 'Release',
      Platform: '',
      EMPTY: undefined,
    };
    expect((await read('p.csproj', project(body), { environment })).projects).toEqual([
      'net8.0: A [3.1.0, ), B [1.0.0, ), C [1.0.0, ), D [1.0.0, )',
    ]);
  });

  it('pins what comes with other packages where that is switched on', async () => {
    const central = (pinning: string) =>
      `<Project><PropertyGroup><ManagePackageVersionsCentrally>true</ManagePackageVersionsCentrally>${pinning}</PropertyGroup>
      <ItemGroup><PackageVersion Include="A" Version="1.0" /><PackageVersion Include="Base" Version="2.0" /></ItemGroup></Project>`;
    const path = await write('p.csproj', project('<ItemGroup><PackageReference Include="A" /></ItemGroup>'));
    const pins = async () =>
      (await readWantedPackages(path)).projects[0]?.pins?.map(({ id, range }) => `${id} ${range}`);
    await write('Directory.Packages.props', central(''));
    expect(await pins()).toBeUndefined();
    const on = '<CentralPackageTransitivePinningEnabled>true</CentralPackageTransitivePinningEnabled>';
    await write('Directory.Packages.props', central(on));
    expect(await pins()).toEqual(['A [1.0.0, )', 'Base [2.0.0, )']);
  });

  it('takes versions from where they are kept together, and properties from files above it', async () => {
    await write('Directory.Build.props', '<Project><PropertyGroup><Net>net9.0</Net></PropertyGroup></Project>');
    await write(
      'src/Directory.Build.props',
      `<Project>
        <Import Project="$([MSBuild]::GetPathOfFileAbove('Directory.Build.props', '$(MSBuildThisFileDirectory)../'))" />
        <Import Project="not-there.props" /><Import Project="..\\more.props" Condition="Exists('$(MSBuildThisFileDirectory)../more.props')" />
      </Project>`,
    );
    await write('more.props', '<Project><PropertyGroup><Serilog>4.0.0</Serilog></PropertyGroup></Project>');
    await write(
      'Directory.Packages.props',
      `<Project><PropertyGroup><ManagePackageVersionsCentrally>true</ManagePackageVersionsCentrally></PropertyGroup>
      <ItemGroup>
        <PackageVersion Include="Serilog" Version="$(Serilog)" /><PackageVersion Include="Unused" Version="1.0" />
        <PackageVersion Include="xunit" Version="2.9.0" /><GlobalPackageReference Include="Analyzers" Version="3.3.4" />
      </ItemGroup></Project>`,
    );
    const body = `<Project><PropertyGroup><TargetFramework>$(Net)</TargetFramework></PropertyGroup><ItemGroup>
      <PackageReference Include="serilog" /><PackageReference Include="xunit" VersionOverride="2.8.0" />
    </ItemGroup></Project>`;
    expect((await read('src/app/p.csproj', body)).projects).toEqual([
      'net9.0: serilog [4.0.0, ), xunit [2.8.0, ), Analyzers [3.3.4, )',
    ]);
  });

  it('takes versions from the file that a property names in place of the nearest one, or from none', async () => {
    const central = (version: string) =>
      `<Project><PropertyGroup><ManagePackageVersionsCentrally>true</ManagePackageVersionsCentrally></PropertyGroup>
      <ItemGroup><PackageVersion Include="A" Version="${version}" /></ItemGroup></Project>`;
    await write('Directory.Packages.props', central('1.0'));
    await write('eng/Versions.props', central('2.0'));
    const body = project('<ItemGroup><PackageReference Include="A" /></ItemGroup>');
    const withProperty = async (property: string) => {
      await write('Directory.Build.props', `<Project><PropertyGroup>${property}</PropertyGroup></Project>`);
      const { projects, problems } = await read('src/p.csproj', body);
      return [...projects, ...problems];
    };
    const path = (value: string) => withProperty(`<DirectoryPackagesPropsPath>${value}</DirectoryPackagesPropsPath>`);
    const imported = (value: string) =>
      withProperty(`<ImportDirectoryPackagesProps>${value}</ImportDirectoryPackagesProps>`);
    expect(await path('$(MSBuildThisFileDirectory)eng\\Versions.props')).toEqual(['net8.0: A [2.0.0, )']);
    const normalized = "$([MSBuild]::NormalizePath('$(MSBuildThisFileDirectory)', 'eng', 'Versions.props'))";
    expect(await path(normalized)).toEqual(['net8.0: A [2.0.0, )']);
    expect(await path("$([MSBuild]::NormalizeDirectory('..', 'eng'))Versions.props")).toEqual(['net8.0: A [2.0.0, )']);
    const unknown = ["src/p.csproj: the version of A can't be told"];
    expect(await path('$([System.IO.Path]::GetTempPath())Versions.props')).toEqual(unknown);
    expect(await imported('TRUE')).toEqual(['net8.0: A [1.0.0, )']);
    expect(await imported('false')).toEqual(unknown);
  });

  it('wants the SDKs that come from a feed, in the versions that it or global.json names', async () => {
    await write(
      'global.json',
      `{
        // Those of the repository: "msbuild-sdks": {}
        "sdk": { "version": "8.0.100", /* or newer */ },
        "msbuild-sdks": { "our.SDK": "1.0.0-beta.1", "Microsoft.Build.NoTargets": "3.7.0", "Url//x": "\\"1,}" },
      }`,
    );
    const body = `<Project Sdk="Microsoft.NET.Sdk/8.0.100; MSBuild.Sdk.Extras/3.0.44">
      <Sdk Name="Microsoft.Build.NoTargets" Version="3.7.56" /><Sdk Name="Our.Sdk" />
      <Import Project="Sdk.props" Sdk="Third.Sdk" Version="2.0.0" />
      <Import Project="Sdk.props" Sdk="Not.Here" Version="2.0.0" Condition="'$(Never)' == 'true'" />
      <Import Project="Sdk.props" Sdk="Aspire.Sdk" Version="newest" /><Import Project="Sdk.props" Sdk="Of.DotNet" />
      <PropertyGroup><TargetFrameworks>net8.0;net9.0</TargetFrameworks></PropertyGroup>
    </Project>`;
    expect(await read('src/p.csproj', body)).toEqual({
      packages: [
        'MSBuild.Sdk.Extras 3.0.44',
        'Microsoft.Build.NoTargets 3.7.56',
        'Our.Sdk 1.0.0-beta.1',
        'Third.Sdk 2.0.0',
      ],
      projects: [],
      problems: ['src/p.csproj: the SDK "Aspire.Sdk/newest" is no id and version'],
    });
  });

  it('is read without the versions of a global.json that can not be read', async () => {
    await write('global.json', '{ "msbuild-sdks": /*');
    const { packages, problems } = await read('p.csproj', project('<Sdk Name="A" Version="1.0" /><Sdk Name="B" />'));
    expect(packages).toEqual(['A 1.0.0']);
    expect(problems).toEqual([expect.stringContaining('global.json is no JSON')]);
  });

  it.each([
    ['netstandard2.0', '', 'netstandard2.0: NETStandard.Library [2.0.3, )'],
    ['netstandard1.3', '', 'netstandard1.3: NETStandard.Library [1.6.1, )'],
    [
      'netstandard2.0',
      '<PropertyGroup><NETStandardImplicitPackageVersion>2.0.1</NETStandardImplicitPackageVersion></PropertyGroup>',
      'netstandard2.0: NETStandard.Library [2.0.1, )',
    ],
    [
      'netstandard2.0',
      '<ItemGroup><PackageReference Include="netstandard.library" Version="2.0.2"/></ItemGroup>',
      'netstandard2.0: netstandard.library [2.0.2, )',
    ],
    [
      'netstandard2.0',
      '<PropertyGroup><DisableImplicitFrameworkReferences>true</DisableImplicitFrameworkReferences></PropertyGroup>',
      undefined,
    ],
    ['netstandard2.1', '', undefined],
  ])('refers to the package of .NET Standard where the SDK does: %s %s', async (framework, body, wishes) => {
    expect((await read('p.csproj', project(body, framework))).projects).toEqual(wishes === undefined ? [] : [wishes]);
  });

  it.each([
    '<Project><Import Project="Sdk.props" Sdk="Microsoft.NET.Sdk"/>BODY</Project>',
    '<Project><Sdk Name="Microsoft.NET.Sdk"/>BODY</Project>',
  ])('has an SDK in other ways, too: %s', async (shape) => {
    const body = '<PropertyGroup><TargetFramework>netstandard2.0</TargetFramework></PropertyGroup>';
    expect((await read('p.csproj', shape.replace('BODY', body))).projects).toHaveLength(1);
    expect((await read('p.csproj', `<Project>${body}</Project>`)).projects).toEqual([]);
  });

  it('brings the projects that it refers to, once each', async () => {
    await write(
      'lib/lib.csproj',
      project(
        '<ItemGroup><PackageReference Include="L" Version="1.0"/><ProjectReference Include="../app/app.csproj"/></ItemGroup>',
        'netstandard2.0',
      ),
    );
    const body = `<ItemGroup><PackageReference Include="A" Version="1.0"/>
      <ProjectReference Include="..\\lib\\lib.csproj"/><ProjectReference Include="../gone.csproj"/></ItemGroup>`;
    expect(await read('app/app.csproj', project(body))).toEqual({
      packages: [],
      projects: ['net8.0: A [1.0.0, )', 'netstandard2.0: L [1.0.0, ), NETStandard.Library [2.0.3, )'],
      problems: ["app/app.csproj: the project ../gone.csproj isn't there"],
    });
  });

  it('of before the SDK has a version of .NET Framework, and its packages in a file beside it', async () => {
    await write('packages.config', '<packages><package id="NUnit" version="2.6.4" /></packages>');
    const body = `<Project xmlns="http://schemas.microsoft.com/developer/msbuild/2003" ToolsVersion="4.0">
      <Import Project="$(MSBuildToolsPath)\\Microsoft.CSharp.targets" />
      <PropertyGroup><TargetFrameworkVersion>v4.7.2</TargetFrameworkVersion></PropertyGroup>
      <ItemGroup><Reference Include="System" /></ItemGroup></Project>`;
    expect(await read('old.csproj', body)).toEqual({ packages: ['NUnit 2.6.4'], projects: [], problems: [] });
    const modern = body.replace('<Reference Include="System" />', '<PackageReference Include="A" Version="1.0" />');
    expect((await read('old.csproj', modern)).projects).toEqual(['net472: A [1.0.0, )']);
  });

  it.each([
    [project('<ItemGroup><PackageReference Include="A" /></ItemGroup>'), "the version of A can't be told"],
    [
      project('<ItemGroup><PackageReference Include="A" Version="$([Some]::Function())" /></ItemGroup>'),
      "the version of A can't be told",
    ],
    [
      project('<ItemGroup><PackageReference Include="A" Version="newest" /></ItemGroup>'),
      'the version of A can\'t be told from "newest"',
    ],
    [
      project('<ItemGroup><Own Include="A" /><PackageReference Include="@(Own)" Version="1.0" /></ItemGroup>'),
      "what a PackageReference in p.csproj is for can't be told",
    ],
    [
      project('<ItemGroup><PackageReference Update="@(Own)" Version="1.0" /></ItemGroup>'),
      "what a PackageReference in p.csproj is for can't be told",
    ],
    [project('<ItemGroup><PackageReference Include="../a" Version="1.0" /></ItemGroup>'), '"../a" is no package id'],
    [project('', 'whatever'), '"whatever" is no target framework'],
    ['<Project/>', 'it has no target framework that can be told; project.assets.json has it after a restore'],
    [
      '<Project><PropertyGroup><TargetFrameworks>$([A]::B())</TargetFrameworks></PropertyGroup></Project>',
      "its target frameworks can't be told; project.assets.json has them after a restore",
    ],
  ])('says what it does not understand: %s', async (text, problem) => {
    expect((await read('p.csproj', text)).problems).toEqual([`p.csproj: ${problem}`]);
  });

  it('does not know what hangs on a condition that it does not understand, and fetches rather too much', async () => {
    const body = `<PropertyGroup><V>1.0</V><V Condition="$([A]::B())">2.0</V></PropertyGroup>
      <ItemGroup Condition="$([A]::B())"><PackageReference Include="A" Version="3.0" /></ItemGroup>
      <ItemGroup><PackageReference Include="B" Version="$(V)" /></ItemGroup>`;
    expect(await read('p.csproj', project(body))).toEqual({
      packages: [],
      projects: ['net8.0: A [3.0.0, )'],
      problems: ["p.csproj: the version of B can't be told"],
    });
  });

  it('may import itself and others in circles', async () => {
    await write('a.props', '<Project><Import Project="b.props"/><Import Project="p.csproj"/></Project>');
    await write('b.props', '<Project><Import Project="a.props"/><PropertyGroup><V>1.5</V></PropertyGroup></Project>');
    const body = '<Import Project="a.props"/><ItemGroup><PackageReference Include="A" Version="$(V)" /></ItemGroup>';
    expect((await read('p.csproj', project(body))).projects).toEqual(['net8.0: A [1.5.0, )']);
  });
});

describe('a file that is none of these', () => {
  it.each([
    ['packages.lock.json', '{', 'INVALID_PROJECT', 'is no JSON'],
    ['packages.lock.json', '[]', 'INVALID_PROJECT', 'has no object in it'],
    ['packages.lock.json', '{"version":1}', 'INVALID_PROJECT', 'there are no dependencies in it'],
    ['project.assets.json', '{"libraries":1}', 'INVALID_PROJECT', 'there are no libraries in it'],
    ['p.csproj', '<Project>', 'INVALID_PROJECT', 'is no XML'],
    ['p.csproj', '<!DOCTYPE x [<!ENTITY a "b">]><Project/>', 'INVALID_PROJECT', 'document type definition'],
    ['packages.config', '', 'INVALID_PROJECT', 'is no XML'],
    ['nuget.config', '<configuration/>', 'INVALID_PROJECT', '<configuration> instead of <packages>'],
    ['readme.md', '# hello', 'INVALID_PROJECT', 'allowed: a packages.lock.json'],
  ])('is told of: %s with %j', async (name, content, code, message) => {
    await expect(read(name, content)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('is told of when it is not there', async () => {
    for (const name of ['packages.lock.json', 'p.csproj', 'packages.config']) {
      await expect(readWantedPackages(join(folder, name))).rejects.toMatchObject({ code: 'INVALID_PROJECT' });
    }
  });

  it.runIf(process.platform === 'linux')('is told of when it has no end', async () => {
    for (const name of ['packages.lock.json', 'p.csproj', 'packages.config']) {
      await symlink('/dev/zero', join(folder, name));
      await expect(readWantedPackages(join(folder, name))).rejects.toMatchObject({ code: 'LIMIT' });
    }
  });

  it('is told of when properties grow without end', async () => {
    const doubled = Array.from({ length: 40 }, () => '<A>$(A)$(A)</A>').join('');
    const body = `<PropertyGroup><A>0123456789</A>${doubled}</PropertyGroup>`;
    await expect(read('p.csproj', project(body))).rejects.toMatchObject({ code: 'LIMIT' });
  });
});
