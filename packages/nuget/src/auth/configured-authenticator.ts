import type { Environment } from '../config/expand-environment.js';
import type { NuGetConfig } from '../config/nuget-config.js';
import { Authenticator } from './authenticator.js';
import type { CredentialProvider } from './credentials.js';
import { externalEndpointProvider } from './external-endpoints.js';

/** What `configuredAuthenticator` takes beside the configuration and the source. */
export interface ConfiguredAuthenticatorOptions {
  /** Default `process.env`. */
  readonly environment?: Environment | undefined;
  /** Asked where the environment has nothing. */
  readonly provider?: CredentialProvider | undefined;
}

/**
 * An authenticator for a source with what is configured for it: `NuGetPackageSourceCredentials_{name}`, else
 * `packageSourceCredentials`; after a 401 or 403 `VSS_NUGET_EXTERNAL_FEED_ENDPOINTS`, then the provider.
 */
export function configuredAuthenticator(
  config: NuGetConfig,
  source: { readonly name: string; readonly url: string },
  { environment = process.env, provider }: ConfiguredAuthenticatorOptions = {},
): Authenticator {
  const configured = config.credentials(source.name);
  const endpoints = externalEndpointProvider(source.url, environment);
  return new Authenticator({
    source: source.name,
    url: source.url,
    credentials: configured && (() => configured.toCredentials()),
    provider:
      endpoints && provider
        ? async (request) => (await endpoints(request)) ?? provider(request)
        : (endpoints ?? provider),
  });
}
