import type { AttributeSource, Attributes, AttributeValue } from './tracer.js';

/** Names that a span or an event may have; what comes later is counted and lost. OpenTelemetry's own default. */
const MAX_ATTRIBUTES = 128;
/** Attributes are for people to read. */
const MAX_VALUE_LENGTH = 4096;

/** The name in whose place a function stands that gives attributes; no attribute has it. */
const LATER = '';

/**
 * What a span was told, in two short lists: to search one of ten names takes less than to make a table for them. Values
 * are looked at when they are read, which is when somebody exports them.
 */
export class SpanAttributes {
  #names: string[] = [];
  #values: (AttributeValue | (() => Attributes))[] = [];
  /** Behind the last function: what is told now overrules what it gives. */
  #searchFrom = 0;
  #dropped = 0;

  /** How many were lost because there were too many. */
  get dropped(): number {
    this.#askFunctions();
    return this.#dropped;
  }

  set(name: string, value: AttributeValue | undefined): void {
    if (value === undefined || value === null || name === '') return;
    // Lists are their owners', who may go on with them.
    const kept = Array.isArray(value) ? value.slice() : value;
    const place = this.#names.indexOf(name, this.#searchFrom);
    if (place === -1) this.#add(name, kept);
    else this.#values[place] = kept;
  }

  setAll(attributes: AttributeSource): void {
    if (typeof attributes === 'function') {
      this.#add(LATER, attributes);
      this.#searchFrom = this.#names.length;
    } else this.#setEach(attributes);
  }

  /** Without what is no value for OpenTelemetry, and cut where it is long. */
  read(): Record<string, string | number | boolean | string[] | number[]> {
    this.#askFunctions();
    const read: Record<string, string | number | boolean | string[] | number[]> = Object.create(null);
    this.#names.forEach((name, i) => {
      const value = readable(this.#values[i]);
      if (value !== undefined) read[name] = value;
    });
    return read;
  }

  #add(name: string, value: AttributeValue | (() => Attributes)): void {
    if (this.#names.length === MAX_ATTRIBUTES) this.#dropped++;
    else {
      this.#names.push(name);
      this.#values.push(value);
    }
  }

  #setEach(attributes: Attributes): void {
    for (const name in attributes) {
      if (Object.hasOwn(attributes, name)) this.set(name, attributes[name]);
    }
  }

  /** Puts what functions give where they stood. One that throws gives nothing. */
  #askFunctions(): void {
    if (this.#searchFrom === 0) return;
    const [names, values] = [this.#names, this.#values];
    this.#names = [];
    this.#values = [];
    this.#searchFrom = 0;
    for (const [i, name] of names.entries()) {
      const value = values[i];
      if (typeof value !== 'function') this.set(name, value);
      else
        try {
          this.#setEach(value());
        } catch {}
    }
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
