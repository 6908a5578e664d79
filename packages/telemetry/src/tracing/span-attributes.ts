import type { Attributes, AttributeValue } from './tracer.js';

/** Names that a span or an event may have; what comes later is counted and lost. OpenTelemetry's own default. */
const MAX_ATTRIBUTES = 128;
/** Attributes are for people to read. */
const MAX_VALUE_LENGTH = 4096;

/**
 * What a span was told, in two short lists: to search one of ten names takes less than to make a table for them. Values
 * are looked at when they are read, which is when somebody exports them.
 */
export class SpanAttributes {
  readonly #names: string[] = [];
  readonly #values: AttributeValue[] = [];
  #dropped = 0;

  /** How many were lost because there were too many. */
  get dropped(): number {
    return this.#dropped;
  }

  set(name: string, value: AttributeValue | undefined): void {
    if (value === undefined || value === null || name === '') return;
    // Lists are their owners', who may go on with them.
    const kept = Array.isArray(value) ? value.slice() : value;
    const place = this.#names.indexOf(name);
    if (place !== -1) this.#values[place] = kept;
    else if (this.#names.length === MAX_ATTRIBUTES) this.#dropped++;
    else {
      this.#names.push(name);
      this.#values.push(kept);
    }
  }

  setAll(attributes: Attributes): void {
    for (const name in attributes) {
      if (Object.hasOwn(attributes, name)) this.set(name, attributes[name]);
    }
  }

  /** Without what is no value for OpenTelemetry, and cut where it is long. */
  read(): Record<string, string | number | boolean | string[] | number[]> {
    const read: Record<string, string | number | boolean | string[] | number[]> = Object.create(null);
    this.#names.forEach((name, i) => {
      const value = readable(this.#values[i]);
      if (value !== undefined) read[name] = value;
    });
    return read;
  }
}

function readable(value: unknown): string | number | boolean | string[] | number[] | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return cut(value);
  if (!Array.isArray(value)) return undefined;
  if (value.every((each) => typeof each === 'string')) return value.map(cut);
  return value.every((each) => typeof each === 'number') ? value : undefined;
}

function cut(text: string): string {
  return text.length > MAX_VALUE_LENGTH ? text.slice(0, MAX_VALUE_LENGTH) : text;
}
