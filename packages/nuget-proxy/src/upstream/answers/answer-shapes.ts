/**
 * Whether a value that comes from a cache is what it should be: caches survive versions of this program, and may be
 * written by others. Looked at once for each value, and no deeper than what would break whoever reads it.
 */
export type Shape = (value: unknown) => boolean;

type Fields = Readonly<Record<string, unknown>>;

const isText: Shape = (value) => typeof value === 'string';
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const listOf =
  (item: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(item);
const isTexts = listOf(isText);

const isDependencyGroup: Shape = (value) =>
  isObject(value) &&
  Array.isArray(value['dependencies']) &&
  value['dependencies'].every((needed) => isObject(needed) && isText(needed['id']) && isText(needed['range']));
const isPage: Shape = (value) =>
  isObject(value) && typeof value['number'] === 'number' && typeof value['isInlined'] === 'boolean';
const isMissingOr =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value);
const isRecord: Shape = (value) =>
  isObject(value) &&
  isText(value['id']) &&
  isText(value['version']) &&
  typeof value['listed'] === 'boolean' &&
  isTexts(value['authors']) &&
  isTexts(value['owners']) &&
  isTexts(value['tags']) &&
  listOf(isDependencyGroup)(value['dependencyGroups']) &&
  isMissingOr(isPage)(value['page']);
const isVersion: Shape = (value) => isObject(value) && isText(value['version']);
const isHit: Shape = (value) => isObject(value) && isRecord(value['record']) && listOf(isVersion)(value['versions']);
const isVulnerability: Shape = (value) =>
  isObject(value) && isText(value['advisoryUrl']) && typeof value['severity'] === 'number' && isText(value['versions']);

const isSeen: Shape = (value) =>
  isObject(value) &&
  isText(value['id']) &&
  isText(value['version']) &&
  [value['stable'], value['title'], value['description']].every(isMissingOr(isText)) &&
  [value['tags'], value['packageTypes']].every(isMissingOr(isTexts));

const isCertificate: Shape = (value) =>
  isObject(value) &&
  isObject(value['fingerprints']) &&
  Object.values(value['fingerprints']).every(isText) &&
  [value['subject'], value['issuer'], value['notBefore'], value['notAfter']].every(isText);

/** The shapes of the answers that are kept. */
export const shapes = {
  text: isText,
  texts: isTexts,
  versions: listOf(isVersion),
  records: listOf(isRecord),
  search: ((value) => isObject(value) && typeof value['total'] === 'number' && listOf(isHit)(value['hits'])) as Shape,
  vulnerabilities: ((value) => isObject(value) && Object.values(value).every(listOf(isVulnerability))) as Shape,
  signatures: ((value) =>
    isObject(value) &&
    typeof value['allRepositorySigned'] === 'boolean' &&
    listOf(isCertificate)(value['certificates'])) as Shape,
  /** Packages that were seen. */
  seen: listOf(isSeen),
} as const;
