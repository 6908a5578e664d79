/** Edits (insert, delete, replace, swap of neighbours) that turn one word into the other. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        edits = Math.min(edits, (beforeLast[j - 2] as number) + 1);
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}

/** A word that goes on where the typed one ends is nearer than one with another letter. */
const CONTINUED = 0.5;

/**
 * The word that was probably meant: one that goes on where the typed one ends (`tls.cert_file` for `tls.cert`), else the
 * nearest within a third of its length, or undefined.
 */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestEdits = Number.POSITIVE_INFINITY;
  const typed = word.slice(0, 200).toLowerCase();
  for (const candidate of words) {
    const goesOn = candidate.toLowerCase().startsWith(`${typed}_`);
    const edits = goesOn ? CONTINUED : editDistance(typed, candidate.toLowerCase());
    if (edits < bestEdits && edits <= Math.max(2, Math.floor(candidate.length / 3))) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}
