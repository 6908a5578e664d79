import type { Environment } from '../config/expand-environment.js';
import { NuGetError } from '../errors.js';
import { basicCredentials, type CredentialProvider, type Credentials } from './credentials.js';

const VARIABLE = 'VSS_NUGET_EXTERNAL_FEED_ENDPOINTS';
/** In words: written as JSON it would be taken for the secrets themselves, and hidden. */
const SHAPE =
  'JSON with the list endpointCredentials, whose entries have an endpoint (the URL of the source), a username and a password';

/**
 * Takes credentials from `VSS_NUGET_EXTERNAL_FEED_ENDPOINTS`, the way build servers hand them to Azure Artifacts'
 * credential provider; undefined where the variable isn't set.
 */
export function externalEndpointProvider(
  sourceUrl: string,
  environment: Environment = process.env,
): CredentialProvider | undefined {
  const text = environment[VARIABLE];
  if (text === undefined || text.trim() === '') return undefined;
  // What was refused once is refused again.
  return async ({ isRetry }) => (isRetry ? undefined : find(text, sourceUrl));
}

function find(text: string, sourceUrl: string): Credentials | undefined {
  for (const entry of parse(text)) {
    const { endpoint, username, password } = (entry ?? {}) as Record<string, unknown>;
    if (typeof endpoint !== 'string' || typeof password !== 'string') throw invalid();
    if (normalize(endpoint) !== normalize(sourceUrl)) continue;
    // The services that this is for look at the token only.
    return basicCredentials(typeof username === 'string' && username !== '' ? username : 'VssSessionToken', password);
  }
  return undefined;
}

function parse(text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid();
  }
  const { endpointCredentials } = (value ?? {}) as { readonly endpointCredentials?: unknown };
  if (!Array.isArray(endpointCredentials)) throw invalid();
  return endpointCredentials;
}

/** Says nothing of what was found: it holds tokens. */
function invalid(): NuGetError {
  return new NuGetError('INVALID_CONFIG', `${VARIABLE}: allowed: ${SHAPE}`);
}

function normalize(url: string): string {
  return (URL.canParse(url.trim()) ? new URL(url.trim()).href : url.trim()).replace(/\/$/, '').toLowerCase();
}
