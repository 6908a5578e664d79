/** Identifiers of frameworks, and what folders call them. */
const SHORT_NAMES = {
  '.NETCoreApp': 'netcoreapp',
  '.NETStandardApp': 'netstandardapp',
  '.NETStandard': 'netstandard',
  '.NETPlatform': 'dotnet',
  '.NETFramework': 'net',
  '.NETMicroFramework': 'netmf',
  '.NETnanoFramework': 'netnano',
  '.NETCore': 'netcore',
  '.NETPortable': 'portable',
  Silverlight: 'sl',
  WindowsPhone: 'wp',
  WindowsPhoneApp: 'wpa',
  Windows: 'win',
  WinRT: 'winrt',
  UAP: 'uap',
  DNX: 'dnx',
  DNXCore: 'dnxcore',
  'ASP.NET': 'aspnet',
  'ASP.NETCore': 'aspnetcore',
  native: 'native',
  Tizen: 'tizen',
  MonoAndroid: 'monoandroid',
  MonoTouch: 'monotouch',
  MonoMac: 'monomac',
  'Xamarin.iOS': 'xamarinios',
  'Xamarin.Mac': 'xamarinmac',
  'Xamarin.TVOS': 'xamarintvos',
  'Xamarin.WatchOS': 'xamarinwatchos',
  'Xamarin.PlayStation3': 'xamarinpsthree',
  'Xamarin.PlayStation4': 'xamarinpsfour',
  'Xamarin.PlayStationVita': 'xamarinpsvita',
  'Xamarin.Xbox360': 'xamarinxboxthreesixty',
  'Xamarin.XboxOne': 'xamarinxboxone',
} as const;

/** Other names of theirs, in lower case. */
const SYNONYMS = {
  netframework: '.NETFramework',
  '.net': '.NETFramework',
  netcore: '.NETCore',
  netportable: '.NETPortable',
  'asp.net': 'ASP.NET',
  'asp.netcore': 'ASP.NETCore',
  'xamarin.playstationthree': 'Xamarin.PlayStation3',
  xamarinplaystationthree: 'Xamarin.PlayStation3',
  'xamarin.playstationfour': 'Xamarin.PlayStation4',
  xamarinplaystationfour: 'Xamarin.PlayStation4',
  xamarinplaystationvita: 'Xamarin.PlayStationVita',
} as const;

/** Profiles, in lower case, by what folders call them. Both are understood in both places. */
const PROFILES: ReadonlyMap<string, string> = new Map([
  ['client', 'Client'],
  ['full', ''],
  ['cf', 'CompactFramework'],
  ['wp', 'WindowsPhone'],
  ['wp71', 'WindowsPhone71'],
]);
const SHORT_PROFILES: ReadonlyMap<string, string> = new Map([
  ['compactframework', 'cf'],
  ['windowsphone', 'wp'],
  ['windowsphone71', 'wp71'],
]);

const IDENTIFIERS: ReadonlyMap<string, string> = new Map([
  ...Object.keys(SHORT_NAMES).map((name) => [name.toLowerCase(), name] as const),
  ...Object.entries(SHORT_NAMES).map(([name, short]) => [short, name] as const),
  ...Object.entries(SYNONYMS),
]);
const SHORT_IDENTIFIERS: ReadonlyMap<string, string> = new Map(
  Object.entries(SHORT_NAMES).map(([name, short]) => [name.toLowerCase(), short]),
);

/** The identifier that a name means, in its own spelling: `.NETFramework` for `net`. Undefined for an unknown name. */
export function identifierOf(name: string): string | undefined {
  return IDENTIFIERS.get(name.toLowerCase());
}

/** What folders call a framework; undefined when it is unknown. */
export function shortIdentifierOf(identifier: string): string | undefined {
  return SHORT_IDENTIFIERS.get(identifier.toLowerCase());
}

/** The profile that a name means: `WindowsPhone` for `wp`, none for `full`, what isn't known as it is. */
export function profileOf(name: string): string {
  return PROFILES.get(name.toLowerCase()) ?? name;
}

/** What folders call a profile. */
export function shortProfileOf(profile: string): string {
  return SHORT_PROFILES.get(profile.toLowerCase()) ?? profile;
}
