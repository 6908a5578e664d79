import { formatSize } from '../../config/size.js';
import { fit, plain } from './text.js';

export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** Of the terminal; undefined where it is none, and then nothing is ever shown. */
  readonly columns: number | undefined;
  /** How many there are. */
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
  readonly #columns: number | undefined;
  readonly #total: number;
  readonly #clock: () => number;
  #done = 0;
  #bytes = 0;
  #subject = '';
  #drawnAt = Number.NEGATIVE_INFINITY;
  #isDrawn = false;

  constructor({ write, columns, total, clock = () => performance.now() }: ProgressOptions) {
    this.#write = write;
    this.#columns = columns;
    this.#total = total;
    this.#clock = clock;
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

  #draw(): void {
    if (this.#columns === undefined) return;
    const now = this.#clock();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#isDrawn = true;
    const filled = this.#total === 0 ? BAR : Math.min(BAR, Math.round((BAR * this.#done) / this.#total));
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}]`;
    const text = `${bar} ${this.#done}/${this.#total} ${formatSize(this.#bytes)} ${this.#subject}`;
    // A full last column would begin a new line on some terminals.
    this.#write(CLEAR_LINE + fit(text, this.#columns - 1));
  }
}
