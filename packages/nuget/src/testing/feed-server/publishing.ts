import { isNuGetError } from '../../errors.js';
import type { FeedPackages } from './feed-packages.js';
import { uploadedFile } from './multipart.js';
import { problem, type Reply } from './reply.js';
import type { FeedRequest } from './request-log.js';

/** Adds what was uploaded: 201, or 409 when the version is there, or 400 when it is no package. */
export async function pushPackage(request: FeedRequest, packages: FeedPackages): Promise<Reply> {
  const content = uploadedFile(request.body ?? Buffer.alloc(0), request.headers['content-type']);
  if (content === undefined) return problem(400, 'the upload has no package in it');
  try {
    // A copy, so that the form around it isn't kept.
    await packages.add(Buffer.from(content));
    return problem(201, 'the package was pushed');
  } catch (error) {
    if (!isNuGetError(error)) throw error;
    return problem(error.code === 'CONFLICT' ? 409 : 400, error.message);
  }
}

export function deletePackage(packages: FeedPackages, id: string, version: string, how: 'unlist' | 'remove'): Reply {
  const done = how === 'unlist' ? packages.setListed(id, version, false) : packages.remove(id, version);
  return done ? { status: 204 } : problem(404, 'there is no such package');
}

export function relistPackage(packages: FeedPackages, id: string, version: string): Reply {
  return packages.setListed(id, version, true) ? { status: 200 } : problem(404, 'there is no such package');
}
