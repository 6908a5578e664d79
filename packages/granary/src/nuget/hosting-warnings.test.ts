import { describe, expect, it } from 'vitest';
import { configFrom } from '../config/load.js';
import { hostingWarnings } from './hosting-warnings.js';

describe('a server with a hosted feed', () => {
  it('says so when a power cut would take what is pushed to it', () => {
    const warned = (values: Readonly<Record<string, unknown>>) => hostingWarnings(configFrom(values)).length > 0;
    expect(warned({ 'nuget.hosted': true, 'storage.durability': 'none' })).toBe(true);
    expect(warned({ 'nuget.hosted': true, 'storage.durability': 'data' })).toBe(false);
    expect(warned({ 'nuget.hosted': false, 'storage.durability': 'none' })).toBe(false);
    expect(warned({ 'nuget.hosted': true, 'nuget.enabled': false, 'storage.durability': 'none' })).toBe(false);
  });
});
