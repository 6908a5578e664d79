import { expect, it } from 'vitest';
import { isCompatible } from '../frameworks/compatibility.js';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import { projectFramework } from './project-framework.js';

it.each([
  ['net8.0-windows', 'net8.0-windows7.0'],
  ['net5.0-Windows', 'net5.0-windows7.0'],
  ['net8.0-windows7.0', 'net8.0-windows7.0'],
  ['net8.0-windows10.0.19041', 'net8.0-windows10.0.19041'],
  ['net8.0-windows0.1', 'net8.0-windows0.1'],
  ['net8.0-ios', 'net8.0-ios'],
  ['net8.0', 'net8.0'],
  ['net472', 'net472'],
  ['win8', 'win8'],
])('a project for %s is for %s', (name, meant) => {
  expect(projectFramework(name).shortFolderName.toLowerCase()).toBe(meant);
});

it('a project for windows can use what was built for its first version', () => {
  const library = NuGetFramework.parse('net6.0-windows7.0');
  expect(isCompatible(NuGetFramework.parse('net8.0-windows'), library)).toBe(false);
  expect(isCompatible(projectFramework('net8.0-windows'), library)).toBe(true);
});

it('a name that is none is refused', () => {
  expect(() => projectFramework('.NETFramework,Version=vx')).toThrow(
    expect.objectContaining({ code: 'INVALID_FRAMEWORK' }),
  );
});
