import { homedir } from 'node:os';
import { posix, win32 } from 'node:path';
import type { Environment } from './expand-environment.js';

/** What stands in for the machine that this runs on, for tests and for asking about another one. */
export interface PlatformOptions {
  /** Default `process.env`. */
  readonly environment?: Environment | undefined;
  /** Default `process.platform`. */
  readonly platform?: NodeJS.Platform | undefined;
}

/** Where NuGet keeps things on a platform. */
export interface NuGetLocations {
  /** Folder of the user's own `NuGet.Config`; undefined on a Windows without `APPDATA`. */
  readonly userConfig: string | undefined;
  /** Folder of `*.config` for everybody on the machine. */
  readonly machineConfig: string | undefined;
  /** `packages` in the user's `.nuget`. */
  readonly globalPackages: string;
  readonly httpCache: string;
}

/** Where NuGet keeps its files on a platform, as its environment variables and the platform say. */
export function nugetLocations({
  environment = process.env,
  platform = process.platform,
}: PlatformOptions = {}): NuGetLocations {
  const set = (name: string) => environment[name] || undefined;
  // The .NET SDK's own home wins over the user's.
  const sdkHome = set('DOTNET_CLI_HOME');
  if (platform === 'win32') {
    const { join } = win32;
    const home = sdkHome ?? set('USERPROFILE') ?? ((set('HOMEDRIVE') ?? '') + (set('HOMEPATH') ?? '') || homedir());
    const applicationData = set('APPDATA');
    const programFiles = set('PROGRAMFILES(X86)') ?? set('PROGRAMFILES');
    return {
      userConfig: applicationData && join(applicationData, 'NuGet'),
      machineConfig: programFiles && join(programFiles, 'NuGet', 'Config'),
      globalPackages: join(home, '.nuget', 'packages'),
      httpCache: join(set('LOCALAPPDATA') ?? join(home, 'AppData', 'Local'), 'NuGet', 'v3-cache'),
    };
  }
  const { join } = posix;
  const home = sdkHome ?? set('HOME') ?? homedir();
  const shared =
    platform === 'darwin' ? '/Library/Application Support' : (set('NUGET_COMMON_APPLICATION_DATA') ?? '/etc/opt');
  return {
    userConfig: join(home, '.nuget', 'NuGet'),
    machineConfig: join(shared, 'NuGet', 'Config'),
    globalPackages: join(home, '.nuget', 'packages'),
    httpCache: join(set('XDG_DATA_HOME') ?? join(home, '.local', 'share'), 'NuGet', 'http-cache'),
  };
}
