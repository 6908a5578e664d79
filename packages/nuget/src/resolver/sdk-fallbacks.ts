import { NuGetFramework } from '../frameworks/nuget-framework.js';

const NET_FRAMEWORKS = ['net461', 'net462', 'net47', 'net471', 'net472', 'net48', 'net481'];
const FIRST_MAJOR = 2;

/**
 * The frameworks that projects for a framework take packages of for want of better ones, as the .NET SDK sets it: those
 * of .NET Framework for .NET Core and .NET Standard from 2.0 on, else none.
 */
export function sdkFallbacks(framework: NuGetFramework): readonly NuGetFramework[] {
  const name = framework.framework.toLowerCase();
  if (name !== '.netcoreapp' && name !== '.netstandard') return [];
  return framework.version.major < FIRST_MAJOR ? [] : NET_FRAMEWORKS.map((each) => NuGetFramework.parse(each));
}
