/** Of what the database's file has for entries, the most that is made free ahead of those that come. */
const MOST_AHEAD = 0.05;

/**
 * The room in the database's file, which never shrinks: what is removed from it leaves pages that only it can fill again.
 * While the file system is short of space, small entries take the place of others here, or the file would take that of
 * all large blobs in the end, and nothing could come any more.
 */
export class DatabaseRoom {
  #used = 0;
  #reserved = 0;
  /** What its entries have taken at most: as large as the file is for them. */
  #size = 0;
  /** What should be free, so that entries need not wait until others are gone: as much as has been lacking. */
  #ahead = 0;

  /** Bytes of the file that are free. */
  get spare(): number {
    return Math.max(0, this.#size - this.#used - this.#reserved);
  }

  /** Sets what is in the file, when that has been counted anew. */
  recount(used: number): void {
    this.#used = used;
    this.#size = Math.max(this.#size, used);
  }

  reserve(bytes: number): void {
    this.#reserved += bytes;
  }

  /** Ends a reservation, of which so much is in the file now. */
  settle(bytes: number, stored: number): void {
    this.#reserved -= bytes;
    this.#used += stored;
    this.#size = Math.max(this.#size, this.#used);
  }

  /** Bytes that are not in the file any more. */
  remove(bytes: number): void {
    this.#used = Math.max(0, this.#used - bytes);
  }

  /** An entry has not found room, and the file system is short of space. */
  lacked(bytes: number): void {
    this.#ahead = Math.min(this.#ahead + bytes, this.#size * MOST_AHEAD);
  }

  /**
   * Bytes that have to go; 0 while there is half of what should be free.
   *
   * @param waiting bytes of entries that wait for room
   */
  shortage(waiting: number): number {
    const lacking = this.#ahead + waiting - this.spare;
    return lacking > this.#ahead / 2 ? lacking : 0;
  }
}
