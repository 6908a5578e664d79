import type { AttributeSource, Attributes, AttributeValue } from '../tracer.js';

/** Names that a span or an event may have; what comes later is counted and lost. OpenTelemetry's own default. */
const MAX_ATTRIBUTES = 128;
/** Attributes are for people to read. */
const MAX_VALUE_LENGTH = 4096;
/** What is kept as it came; more is put in order before anybody asks for it. */
const MAX_TOLD = 4 * MAX_ATTRIBUTES;

/** As an exporter takes it. */
type ReadableValue = string | number | boolean | string[] | number[];

/**
 * What a span was told. To tell it something is to put that on a list, for all else that has to be done about it is done
 * when somebody exports the span, for many spans at once.
 */
export class SpanAttributes {
  /** By turns a name and its value, and in between functions that give several. */
  #told: unknown[] = [];
  /** What was told before that, in order; made when it is needed. */
  #values: Map<string, unknown> | undefined;
  #dropped = 0;

  /** How many were lost because there were too many. */
  get dropped(): number {
    this.#putInOrder();
    return this.#dropped;
  }

  set(name: string, value: AttributeValue | undefined): void {
    // Lists are their owners', who may go on with them.
    this.#told.push(name, typeof value === 'object' ? copied(value) : value);
    if (this.#told.length >= MAX_TOLD) this.#putInOrder();
  }

  setAll(attributes: AttributeSource): void {
    if (typeof attributes === 'function') this.#told.push(attributes);
    else this.#setEach(attributes);
    if (this.#told.length >= MAX_TOLD) this.#putInOrder();
  }

  /** Without what is no value for OpenTelemetry, and cut where it is long. */
  read(): Record<string, ReadableValue> {
    this.#putInOrder();
    const read: Record<string, ReadableValue> = Object.create(null);
    for (const [name, value] of this.#values ?? []) {
      const shown = readable(value);
      if (shown !== undefined) read[name] = shown;
    }
    return read;
  }

  /** What comes behind an attribute that cannot be read is lost with it. */
  #setEach(attributes: Attributes): void {
    try {
      for (const name in attributes) {
        if (Object.hasOwn(attributes, name)) this.set(name, attributes[name]);
      }
    } catch {
      // Who only watches must not fail what it watches.
    }
  }

  #putInOrder(): void {
    const told = this.#told;
    if (told.length === 0) return;
    this.#told = [];
    for (let i = 0; i < told.length; i++) {
      const each = told[i];
      if (typeof each === 'function') this.#ask(each as () => Attributes);
      else this.#keep(each as string, told[++i]);
    }
  }

  /** A function that throws gives nothing. */
  #ask(attributes: () => Attributes): void {
    let given: Attributes;
    try {
      given = { ...attributes() };
    } catch {
      return;
    }
    for (const [name, value] of Object.entries(given)) this.#keep(name, value);
  }

  #keep(name: string, value: unknown): void {
    if (value === undefined || value === null || name === '') return;
    this.#values ??= new Map();
    if (this.#values.size < MAX_ATTRIBUTES || this.#values.has(name)) this.#values.set(name, value);
    else this.#dropped++;
  }
}

/** Undefined for what is no list, or cannot be read. */
function copied(value: object): unknown[] | undefined {
  try {
    return Array.isArray(value) ? [...value] : undefined;
  } catch {
    return undefined;
  }
}

function readable(value: unknown): ReadableValue | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return cut(value);
  if (!Array.isArray(value)) return undefined;
  if (value.every((each) => typeof each === 'string')) return value.map(cut);
  return value.every((each) => typeof each === 'number') ? value : undefined;
}

function cut(text: string): string {
  return text.length > MAX_VALUE_LENGTH ? text.slice(0, MAX_VALUE_LENGTH) : text;
}
