import { isPackageId } from '@granary/nuget';
import type { Answer } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { HttpError } from '../http/http-error.js';
import { historyOf } from './lists/package-history.js';
import { ODataQuery } from './odata-query.js';
import type { V2Request } from './v2-request.js';

/** As many as galleries give. */
const MAX_IDS = 30;
const MAX_PREFIX = 512;
const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();
const NOTHING: Answer<readonly PackageRecord[]> = { value: [], state: 'hit', asOf: 0 };

/** Ids that begin with what somebody types, as a list in JSON. */
export async function answerIds({ exchange, feed, urls, query: parameters, send }: V2Request): Promise<void> {
  exchange.service = 'autocomplete';
  const query = new ODataQuery(parameters, NO_PARAMETERS, urls);
  const prefix = query.text('partialId');
  if (prefix.length > MAX_PREFIX) throw new HttpError(400, `partialId has at most ${MAX_PREFIX} characters`);
  const options = { includePrerelease: query.flag('includePrerelease'), semVer2: query.semVer2, take: MAX_IDS };
  await send({
    url: `${urls.v2}/package-ids?${query}`,
    answer: await feed.autocomplete(prefix, options, exchange.call),
    render: (ids) => ids.slice(0, MAX_IDS),
  });
}

/** The listed versions of a package, as a list in JSON. */
export async function answerVersions(
  { exchange, feed, urls, query: parameters, send }: V2Request,
  id: string,
): Promise<void> {
  exchange.service = 'autocomplete';
  const query = new ODataQuery(parameters, NO_PARAMETERS, urls);
  const includePrerelease = query.flag('includePrerelease');
  const answer = isPackageId(id) ? await feed.records(id, exchange.call) : undefined;
  await send({
    url: `${urls.v2}/package-versions/${id.toLowerCase()}?${query}`,
    answer: answer ?? { ...NOTHING, state: exchange.stateOfNothing },
    render: (records) =>
      historyOf(records, query.semVer2)
        .filter(({ record, version }) => record.listed && (includePrerelease || !version.isPrerelease))
        .map(({ version }) => version.toNormalizedString()),
  });
}
