import { type Exemplar, exemplarLabels } from '../exemplar.js';
import type { LineSink, Series } from '../family.js';
import type { ExpositionFormat } from './format.js';
import { escapeHelp, numberText, unitOf, withoutTotal } from './text.js';

/** As the text format calls them; `untyped` is `unknown` in OpenMetrics. */
export type FamilyType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';

/** What is said of a family before its lines. */
export interface FamilyHead {
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string;
}

/** Writes families in one format, piece by piece: encoded as they come, so that no piece is work for long. */
export class ExpositionWriter implements LineSink {
  readonly format: ExpositionFormat;
  readonly #pieces: Buffer[] = [];
  #text = '';
  #lines = 0;
  /** Name of the family's lines, without their suffix. */
  #name = '';

  constructor(format: ExpositionFormat) {
    this.format = format;
  }

  /** Lines since the last {@link flush}. */
  get lines(): number {
    return this.#lines;
  }

  begin({ name, type, help }: FamilyHead): void {
    this.#name = name;
    if (this.format === 'text') {
      this.#text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
      return;
    }
    const family = type === 'counter' ? withoutTotal(name) : name;
    const unit = unitOf(family);
    this.#text += `# TYPE ${family} ${type === 'untyped' ? 'unknown' : type}\n`;
    if (unit !== undefined) this.#text += `# UNIT ${family} ${unit}\n`;
    this.#text += `# HELP ${family} ${escapeHelp(help).replaceAll('"', '\\"')}\n`;
  }

  line(
    { text }: Pick<Series, 'text'>,
    suffix: string,
    le: string | undefined,
    value: number,
    exemplar: Exemplar | undefined,
  ): void {
    const bucket = le === undefined ? '' : `le="${le}"${text === '' ? '' : ','}`;
    const labels = text === '' && bucket === '' ? '' : `{${bucket}${text}}`;
    const example = exemplar !== undefined && this.format === 'openmetrics' ? exemplarText(exemplar) : '';
    this.#text += `${this.#name}${suffix}${labels} ${numberText(value)}${example}\n`;
    this.#lines++;
  }

  /** Encodes what was written since the last time. */
  flush(): void {
    if (this.#text !== '') this.#pieces.push(Buffer.from(this.#text));
    this.#text = '';
    this.#lines = 0;
  }

  /** All that was written, complete. */
  end(): Buffer {
    if (this.format === 'openmetrics') this.#text += '# EOF\n';
    this.flush();
    return Buffer.concat(this.#pieces);
  }
}

function exemplarText(exemplar: Exemplar): string {
  const labels = exemplarLabels(exemplar);
  if (labels === undefined) return '';
  return ` # {${labels}} ${numberText(exemplar.value)} ${(exemplar.timestampMs / 1000).toFixed(3)}`;
}
