import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NuGetError } from '../errors.js';
import { buildNuspec, type NuspecInit } from '../testing/index.js';
import { parseNuspec, readNuspec } from './nuspec.js';

const NAMESPACES = [
  '',
  'http://schemas.microsoft.com/packaging/2010/07/nuspec.xsd',
  'http://schemas.microsoft.com/packaging/2011/08/nuspec.xsd',
  'http://schemas.microsoft.com/packaging/2011/10/nuspec.xsd',
  'http://schemas.microsoft.com/packaging/2012/06/nuspec.xsd',
  'http://schemas.microsoft.com/packaging/2013/01/nuspec.xsd',
  'http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd',
  'urn:some-other-one',
];

const of = (extra: Partial<NuspecInit> = {}) => parseNuspec(buildNuspec({ id: 'A.B', version: '1.0.0', ...extra }));

const metadata = (xml: string) => `<package><metadata><id>A</id><version>1.0</version>${xml}</metadata></package>`;

const LISTS = [
  'dependencyGroups',
  'frameworkAssemblies',
  'references',
  'frameworkReferences',
  'packageTypes',
  'contentFiles',
] as const;

function failure(source: string | Uint8Array, maxBytes?: number): NuGetError {
  try {
    parseNuspec(source, { maxBytes });
  } catch (error) {
    return error as NuGetError;
  }
  throw new Error('it was parsed');
}

describe('a nuspec', () => {
  it.each(NAMESPACES)('is read in the namespace %j', (namespace) => {
    const nuspec = of({ namespace, dependencies: [{ id: 'C', version: '2.0' }], metadata: { title: 'T' } });
    expect(nuspec).toMatchObject({ id: 'A.B', namespace, title: 'T' });
    expect(nuspec.dependencyGroups[0]?.dependencies[0]?.id).toBe('C');
  });

  it('may have its namespace at <metadata>, and prefixes', () => {
    const inner = '<id>A</id><version>1.0</version><dependencies><dependency id="C"/></dependencies>';
    expect(parseNuspec(`<package><metadata xmlns="urn:x">${inner}</metadata></package>`).dependencyGroups).toHaveLength(
      1,
    );
    const prefixed = inner.replaceAll('</', '</n:').replace(/<(?!\/)/g, '<n:');
    const nuspec = parseNuspec(`<n:package xmlns:n="urn:x"><n:metadata>${prefixed}</n:metadata></n:package>`);
    expect(nuspec).toMatchObject({ id: 'A', namespace: 'urn:x' });
    expect(nuspec.dependencyGroups).toHaveLength(1);
  });

  it('has all the plain fields', () => {
    const texts = {
      title: 'Title',
      summary: 'Sum & <more>',
      releaseNotes: 'line 1\nline 2',
      copyright: '© 2020',
      language: 'en-US',
      projectUrl: 'https://example.test/?a=1&b=2',
      iconUrl: 'https://example.test/icon.png',
      icon: 'images/icon.png',
      readme: 'docs/README.md',
      licenseUrl: 'https://example.test/license',
    };
    const nuspec = of({
      authors: ['Ann', 'Bob'],
      description: 'Does\tthings',
      minClientVersion: '2.12',
      metadata: {
        ...texts,
        owners: ' Carl ,Dora,, ',
        tags: ' json  xml,yaml;toml\n',
        requireLicenseAcceptance: true,
        developmentDependency: true,
        serviceable: true,
      },
    });
    expect(nuspec).toMatchObject({
      ...texts,
      description: 'Does\tthings',
      authors: ['Ann', 'Bob'],
      owners: ['Carl', 'Dora'],
      tags: ['json', 'xml', 'yaml', 'toml'],
      requireLicenseAcceptance: true,
      developmentDependency: true,
      serviceable: true,
      minClientVersion: '2.12',
    });
    expect(nuspec.version.toNormalizedString()).toBe('1.0.0');
  });

  it('has nothing where nothing is said', () => {
    const nuspec = parseNuspec(metadata('<authors> </authors><title/>'));
    expect(nuspec).toMatchObject({
      authors: [],
      owners: [],
      tags: [],
      title: undefined,
      license: undefined,
      repository: undefined,
      requireLicenseAcceptance: false,
      developmentDependency: false,
      serviceable: false,
      dependencyGroups: [],
      frameworkAssemblies: [],
      references: [],
      frameworkReferences: [],
      packageTypes: [],
      contentFiles: [],
    });
  });

  it('is trimmed, takes names of plain elements in any case, and the first that is not empty', () => {
    const nuspec = parseNuspec(metadata('<Title> </Title><TITLE>\n one </TITLE><title>two</title>'));
    expect(nuspec.title).toBe('one');
    const spaced = parseNuspec('<package><metadata><id> A </id><version>\n1.02.0\n</version></metadata></package>');
    expect([spaced.id, spaced.version.toNormalizedString()]).toEqual(['A', '1.2.0']);
  });

  it('has paths as packages have them, however they are written', () => {
    const text =
      '<icon>images\\icon.png</icon><readme>./docs/README.md</readme><license type="file">\\LICENSE</license>';
    const nuspec = parseNuspec(metadata(text));
    expect([nuspec.icon, nuspec.readme, nuspec.license?.value]).toEqual([
      'images/icon.png',
      'docs/README.md',
      'LICENSE',
    ]);
  });

  it('knows licenses by expression and by file', () => {
    expect(of({ license: { type: 'expression', value: 'MIT OR Apache-2.0' } }).license).toEqual({
      type: 'expression',
      value: 'MIT OR Apache-2.0',
      version: '1.0.0',
    });
    expect(of({ license: { type: 'File', value: 'LICENSE.txt', version: '2.0' } }).license).toEqual({
      type: 'file',
      value: 'LICENSE.txt',
      version: '2.0',
    });
    expect(of({ license: { type: 'promise', value: 'x' } }).license).toBeUndefined();
    expect(of({ license: { type: 'file', value: '' } }).license).toBeUndefined();
  });

  it('knows the repository', () => {
    const repository = { type: 'git', url: 'https://example.test/r.git', branch: 'main', commit: 'c0ffee' };
    expect(of({ repository }).repository).toEqual(repository);
    expect(of({ repository: { url: 'u' } }).repository).toEqual({ url: 'u' });
  });

  it('has dependencies in groups by framework, empty groups included', () => {
    const { dependencyGroups } = of({
      dependencyGroups: [
        { targetFramework: 'net8.0' },
        {
          targetFramework: '.NETStandard2.0',
          dependencies: [{ id: 'C', version: '[1.0,2.0)', include: 'all', exclude: 'build,analyzers' }],
        },
        { dependencies: [{ id: 'D' }] },
      ],
      // What lies beside groups doesn't count.
      extraXml: '<dependencies><dependency id="E" version="1.0" /></dependencies>',
    });
    expect(dependencyGroups.map((group) => group.targetFramework.shortFolderName)).toEqual([
      'net8.0',
      'netstandard2.0',
      'any',
    ]);
    const [none, one, any] = dependencyGroups.map((group) => group.dependencies);
    expect(none).toEqual([]);
    expect(one).toMatchObject([{ id: 'C', include: 'all', exclude: 'build,analyzers' }]);
    expect(one?.[0]?.range.toNormalizedString()).toBe('[1.0.0, 2.0.0)');
    expect(any?.[0]?.range.toNormalizedString()).toBe('(, )');
  });

  it('has groups for a framework that nobody knows where there is white space around its name, as NuGet reads it', () => {
    const groups = '<group targetFramework=" net45"/><group targetFramework=" "/><group targetFramework=""/>';
    const xml = `<dependencies>${groups}</dependencies><references>${groups}</references>`;
    const { dependencyGroups, references } = parseNuspec(metadata(xml));
    for (const list of [dependencyGroups, references])
      expect(list.map(({ targetFramework }) => targetFramework.shortName)).toEqual([
        'unsupported',
        'unsupported',
        'any',
      ]);
  });

  it('has flat dependencies for any framework, each once, and all versions for a range that is none', () => {
    const { dependencyGroups } = of({
      dependencies: [
        { id: 'C', version: '1.0' },
        { id: 'c', version: '1.0.0' },
        { id: 'D', version: 'what?' },
      ],
    });
    expect(dependencyGroups).toHaveLength(1);
    expect(dependencyGroups[0]?.targetFramework.isAny).toBe(true);
    const listed = dependencyGroups[0]?.dependencies.map(({ id, range }) => `${id} ${range.toNormalizedString()}`);
    expect(listed).toEqual(['C [1.0.0, )', 'D (, )']);
  });

  it('has the framework’s assemblies by framework, each once', () => {
    const { frameworkAssemblies } = of({
      frameworkAssemblies: [
        { assemblyName: 'System.Xml', targetFramework: 'net45, net40' },
        { assemblyName: 'system.xml', targetFramework: 'net45' },
        { assemblyName: 'System.Net', targetFramework: 'net45' },
        { assemblyName: 'System.Web' },
      ],
    });
    expect(frameworkAssemblies.map(({ targetFramework, items }) => [targetFramework.shortFolderName, items])).toEqual([
      ['net45', ['System.Xml', 'System.Net']],
      ['net40', ['System.Xml']],
      ['any', ['System.Web']],
    ]);
  });

  it('has references, in groups or flat, and shared frameworks', () => {
    const grouped = of({
      references: [{ targetFramework: 'net45', files: ['a.dll', 'b.dll'] }, { files: ['c.dll'] }],
      frameworkReferences: [
        { targetFramework: 'net8.0', names: ['Microsoft.AspNetCore.App', 'microsoft.aspnetcore.app'] },
      ],
    });
    expect(grouped.references.map((group) => group.items)).toEqual([['a.dll', 'b.dll'], ['c.dll']]);
    expect(grouped.frameworkReferences.map((group) => group.items)).toEqual([['Microsoft.AspNetCore.App']]);
    const flat = parseNuspec(metadata('<references><reference file="a.dll"/><reference/></references>'));
    expect(flat.references.map(({ targetFramework, items }) => [targetFramework.isAny, items])).toEqual([
      [true, ['a.dll']],
    ]);
  });

  it('has package types and rules for content files', () => {
    const nuspec = of({
      packageTypes: [{ name: 'DotnetTool' }, { name: ' Template ', version: '2.0' }],
      contentFiles: [
        { include: '**/*.cs', exclude: '', buildAction: 'Compile', copyToOutput: 'True', flatten: 'false' },
        { include: 'any/any/x.txt' },
      ],
    });
    expect(nuspec.packageTypes).toEqual([
      { name: 'DotnetTool', version: '0.0' },
      { name: 'Template', version: '2.0' },
    ]);
    expect(nuspec.contentFiles).toEqual([
      { include: '**/*.cs', buildAction: 'Compile', copyToOutput: true, flatten: false },
      { include: 'any/any/x.txt' },
    ]);
  });

  it('skips what it does not know, comments, instructions and <files>', () => {
    const nuspec = parseNuspec(
      `<?xml version="1.0"?><!-- c --><?pi x?><package><files><file src="a"/></files>${metadata(
        '<!-- c --><future a="1"><deep><deeper/></deep></future><x:title xmlns:x="urn:x" x:a="1">T</x:title>',
      ).replace(/<\/?package>/g, '')}</package>`,
    );
    expect(nuspec).toMatchObject({ id: 'A', title: 'T' });
  });

  it('reads CDATA and references to characters', () => {
    expect(parseNuspec(metadata('<title><![CDATA[a < b]]> &amp; &#x1F600;</title>')).title).toBe('a < b & 😀');
  });

  it('is read from a stream', async () => {
    const bytes = Buffer.from(buildNuspec({ id: 'A', version: '1.0' }));
    expect(await readNuspec(Readable.from([bytes.subarray(0, 9), bytes.subarray(9)]))).toMatchObject({ id: 'A' });
    const endless = Readable.from(
      (function* () {
        for (;;) yield bytes;
      })(),
    );
    await expect(readNuspec(endless, { maxBytes: 10_000 })).rejects.toMatchObject({ code: 'LIMIT' });
    expect(endless.destroyed).toBe(true);
  });
});

describe('the encoding of a nuspec', () => {
  const text = metadata('<title>Größe €</title>');
  const utf16be = (xml: string) => Buffer.from(xml, 'utf16le').swap16();

  it.each<[string, Uint8Array | string]>([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a mark', Buffer.from(`\uFEFF${text}`)],
    ['a string with a mark', `\uFEFF${text}`],
    ['UTF-16 with a mark', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    [
      'UTF-16 with a mark that is declared',
      Buffer.from(`\uFEFF<?xml version="1.0" encoding="utf-16"?>${text}`, 'utf16le'),
    ],
    ['UTF-16, big end first', utf16be(`\uFEFF${text}`)],
    ['UTF-16 without a mark', Buffer.from(text, 'utf16le')],
    ['UTF-16 without a mark, big end first', utf16be(text)],
    ['windows-1252', declared('windows-1252', [0x47, 0x72, 0xf6, 0xdf, 0x65, 0x20, 0x80])],
    ['UTF-8 in capitals', Buffer.from(`<?xml version='1.0' encoding='UTF-8' ?>${text}`)],
  ])('may be %s', (_, bytes) => {
    expect(parseNuspec(bytes).title).toBe('Größe €');
  });

  function declared(encoding: string, title: readonly number[]): Buffer {
    const [before = '', after = ''] = text.split('Größe €');
    const start = Buffer.from(`<?xml version="1.0" encoding="${encoding}"?>${before}`);
    return Buffer.concat([start, Buffer.from(title), Buffer.from(after)]);
  }

  it.each<[string, Uint8Array, RegExp]>([
    ['one that nobody knows', declared('x-klingon', []), /encoding x-klingon, which isn't known/],
    ['UTF-16 that it is not', declared('utf-16', []), /declares the encoding utf-16, and is something else/],
    ['UTF-8 that it is not', declared('utf-8', [0xff, 0xfe]), /not valid utf-8/],
    ['half a unit of UTF-16', Buffer.from(`\uFEFF${text}`, 'utf16le').subarray(0, -1), /not valid utf-16le/],
  ])('must not be %s', (_, bytes, message) => {
    expect(failure(bytes)).toMatchObject({ code: 'INVALID_PACKAGE', message: expect.stringMatching(message) });
  });
});

describe('a nuspec that is none', () => {
  it.each<[string, string, RegExp]>([
    ['empty', '', /document must contain a root element/],
    ['no XML', 'Not Found', /is no XML: 1:/],
    ['HTML', '<!DOCTYPE html><html><body>503</body></html>', /document type definition/],
    ['cut off', '<package><metadata><id>A</id>', /unclosed tag/],
    ['two roots', '<a/><b/>', /is no XML/],
    ['without <metadata>', '<package/>', /has no <metadata>/],
    ['without an id', '<package><metadata><version>1.0</version></metadata></package>', /has no id/],
    ['with an empty id', '<package><metadata><id> </id><version>1.0</version></metadata></package>', /has no id/],
    [
      'with a bad id',
      '<package><metadata><id>../A</id><version>1.0</version></metadata></package>',
      /id that is none: "\.\.\/A"/,
    ],
    ['without a version', '<package><metadata><id>A</id></metadata></package>', /of A has no version/],
    [
      'with a bad version',
      '<package><metadata><id>A</id><version>v1</version></metadata></package>',
      /version that is none: "v1"/,
    ],
    ['with an unbound prefix', metadata('<x:y/>'), /unbound namespace prefix/],
  ])('is refused: %s', (_, xml, message) => {
    expect(failure(xml)).toMatchObject({ code: 'INVALID_PACKAGE', message: expect.stringMatching(message) });
  });

  it('never expands entities of its own, be they bombs or files', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('');
    const bomb = `<!DOCTYPE x [<!ENTITY l0 "lol">${levels}]>${metadata('<title>&l9;</title>')}`;
    const external = `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>${metadata('<title>&f;</title>')}`;
    for (const xml of [bomb, external]) {
      expect(failure(xml)).toMatchObject({
        code: 'INVALID_PACKAGE',
        message: expect.stringMatching(/type definition/),
      });
    }
    for (const name of ['constructor', '__proto__', 'nbsp']) {
      expect(failure(metadata(`<title>&${name};</title>`)).message).toMatch(/undefined entity/);
    }
  });

  it('is bounded in length, depth and count', () => {
    expect(failure(metadata(' '.repeat(5 * 1024 * 1024)))).toMatchObject({ code: 'LIMIT' });
    expect(failure(metadata('<title>long</title>'), 20)).toMatchObject({ code: 'LIMIT' });
    expect(failure(metadata('<a>'.repeat(40)))).toMatchObject({
      code: 'LIMIT',
      message: expect.stringMatching(/32 levels/),
    });
    expect(failure(metadata('<a/>'.repeat(100_001)))).toMatchObject({ code: 'LIMIT' });
  });

  it('fails as it should whatever is broken in it', () => {
    const whole = buildNuspec({ id: 'A', version: '1.0', dependencyGroups: [{ targetFramework: 'net8.0' }] });
    const anyChange = fc.record({ at: fc.nat(whole.length - 1), cut: fc.nat(12), text: fc.string({ maxLength: 4 }) });
    fc.assert(
      fc.property(anyChange, ({ at, cut, text }) => {
        try {
          const nuspec = parseNuspec(whole.slice(0, at) + text + whole.slice(at + cut));
          for (const list of LISTS) nuspec[list].slice();
        } catch (error) {
          expect((error as NuGetError).code).toBe('INVALID_PACKAGE');
        }
      }),
    );
  });
});

describe('a nuspec with a list that makes no sense', () => {
  it.each<[string, string, RegExp]>([
    [
      'a dependency on nothing',
      metadata('<dependencies><dependency version="1.0"/></dependencies>'),
      /dependency without an id/,
    ],
    ['a dependency on a path', metadata('<dependencies><dependency id="a/b"/></dependencies>'), /"a\/b"/],
    ['a type without a name', metadata('<packageTypes><packageType name=" "/></packageTypes>'), /type without a name/],
    [
      'a type of a bad version',
      metadata('<packageTypes><packageType name="T" version="1"/></packageTypes>'),
      /"T" in version "1"/,
    ],
    ['content files of nothing', metadata('<contentFiles><files/></contentFiles>'), /nothing to include/],
    [
      'a flag that is none',
      metadata('<contentFiles><files include="*" flatten="yes"/></contentFiles>'),
      /flatten "yes"/,
    ],
    [
      'a bad framework',
      metadata('<dependencies><group targetFramework=".NETFramework,Version=vX"/></dependencies>'),
      /target framework that is none: "\.NETFramework,Version=vX"/,
    ],
    [
      'assemblies of a bad framework',
      metadata(
        '<frameworkAssemblies><frameworkAssembly assemblyName="S" targetFramework="portable-net45+win8-client"/></frameworkAssemblies>',
      ),
      /target framework that is none/,
    ],
  ])('says so to who asks for the list, and the rest to everybody: %s', (_, xml, message) => {
    const nuspec = parseNuspec(xml.replace('</id>', '</id><title>T</title>'));
    expect([nuspec.id, nuspec.version.toString(), nuspec.title]).toEqual(['A', '1.0', 'T']);
    const failures: NuGetError[] = [];
    for (const list of LISTS) {
      try {
        nuspec[list].slice();
      } catch (error) {
        failures.push(error as NuGetError);
      }
    }
    expect(failures).toEqual([
      expect.objectContaining({
        code: 'INVALID_PACKAGE',
        message: expect.stringMatching(/^A 1\.0\.0: the nuspec has /),
      }),
    ]);
    expect(failures[0]?.message).toMatch(message);
  });
});

describe('any nuspec', () => {
  const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,8}$/);
  const id = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('.'));
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has none of them
    .map((value) => value.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '').trim())
    .filter((value) => value !== '');
  const version = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)).map((parts) => parts.join('.'));
  const range = version.map((value) => `[${value}, )`);
  const dependencies = fc.uniqueArray(fc.record({ id, version: range }), {
    selector: (d) => d.id.toLowerCase(),
    maxLength: 4,
  });
  const init = fc.record({
    id,
    version,
    authors: fc.array(word, { minLength: 1, maxLength: 3 }),
    description: text,
    metadata: fc.record({ title: text, releaseNotes: text, copyright: text, serviceable: fc.boolean() }),
    namespace: fc.constantFrom(...NAMESPACES),
    dependencyGroups: fc.uniqueArray(
      fc.record({
        targetFramework: fc.constantFrom('net8.0', 'net472', 'netstandard2.0', 'net6.0-windows7.0'),
        dependencies,
      }),
      { selector: (group) => group.targetFramework, maxLength: 4 },
    ),
    packageTypes: fc.array(fc.record({ name: word, version: fc.constantFrom('1.0', '0.0', '2.3.4') }), {
      maxLength: 3,
    }),
  });

  it('says what it was built of', () => {
    fc.assert(
      fc.property(init, (built) => {
        const read = parseNuspec(Buffer.from(buildNuspec(built)));
        expect({
          id: read.id,
          version: read.version.toNormalizedString(),
          authors: read.authors,
          description: read.description,
          metadata: {
            title: read.title,
            releaseNotes: read.releaseNotes,
            copyright: read.copyright,
            serviceable: read.serviceable,
          },
          namespace: read.namespace,
          dependencyGroups: read.dependencyGroups.map((group) => ({
            targetFramework: group.targetFramework.shortFolderName,
            dependencies: group.dependencies.map(({ id, range }) => ({ id, version: range.toNormalizedString() })),
          })),
          packageTypes: read.packageTypes,
        }).toEqual({
          ...built,
          dependencyGroups: built.dependencyGroups.map((group) => ({
            ...group,
            targetFramework:
              group.targetFramework === 'net6.0-windows7.0' ? 'net6.0-windows7.0' : group.targetFramework,
          })),
        });
      }),
    );
  });
});
