import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { Bucket } from './bucket.js';

/**
 * Removes an object. The store doesn't say whether it was there, so it is asked before.
 *
 * @param size undefined when an object of any size is meant
 */
export async function deleteObject(bucket: Bucket, key: string, size?: number): Promise<boolean> {
  const found = await bucket.sizeAt(key, undefined);
  if (found === undefined || (size !== undefined && size !== found)) return false;
  await bucket.run(`DELETE ${key}`, undefined, (options) =>
    bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.bucket, Key: key }), options),
  );
  return true;
}
