/**
 * The release of NuGet's own clients whose protocols this one speaks: sources compare it with the oldest one that they
 * serve.
 */
export const NUGET_CLIENT_VERSION = '6.14.0';
