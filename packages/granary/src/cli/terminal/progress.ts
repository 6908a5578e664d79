import { formatSize } from '../../config/size.js';
import { fit, plain } from './text.js';

export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** Of the terminal, as wide as it is now; undefined where it is none, and then nothing is shown. */
  readonly columns: () => number | undefined;
  /** How many there are, as far as is known yet. */
  readonly total: number;
  /** Milliseconds. Default `performance.now`. */
  readonly clock?: () => number;
}

const CLEAR_LINE = '\r\u001b[2K';
const REDRAW_MS = 100;
const BAR = 20;

/** One line on a terminal that says how far something is, drawn again at most ten times a second. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #columns: () => number | undefined;
  readonly #clock: () => number;
  #total: number;
  #done = 0;
  #bytes = 0;
  #subject = '';
  #drawnAt = Number.NEGATIVE_INFINITY;
  #isDrawn = false;
  #isOver = false;

  constructor({ write, columns, total, clock = () => performance.now() }: ProgressOptions) {
    this.#write = write;
    this.#columns = columns;
    this.#total = total;
    this.#clock = clock;
  }

  /** There is one more than was known. */
  expectOne(): void {
    this.#total++;
  }

  /** What is worked on now. */
  start(subject: string): void {
    this.#subject = plain(subject);
    this.#draw();
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#draw();
  }

  finishOne(): void {
    this.#done++;
    this.#draw();
  }

  /** Takes the line away, so that something else can be said; it comes again with the next step. */
  clear(): void {
    if (this.#isDrawn) this.#write(CLEAR_LINE);
    this.#isDrawn = false;
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }

  /** Takes the line away for good: what is still under way then has nobody waiting for it. */
  end(): void {
    this.clear();
    this.#isOver = true;
  }

  #draw(): void {
    const columns = this.#isOver ? undefined : this.#columns();
    if (columns === undefined) return;
    const now = this.#clock();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#isDrawn = true;
    const filled = this.#total === 0 ? BAR : Math.min(BAR, Math.round((BAR * this.#done) / this.#total));
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}]`;
    const size = this.#bytes === 0 ? '' : ` ${formatSize(this.#bytes)}`;
    const text = `${bar} ${this.#done}/${this.#total}${size} ${this.#subject}`;
    // A full last column would begin a new line on some terminals.
    this.#write(CLEAR_LINE + fit(text, columns - 1));
  }
}
