import { fieldKey, jsonValue } from './json-text.js';

/** The properties of `with` and `forContext`, which all records of a logger have. */
export class LogContext {
  readonly properties: Readonly<Record<string, unknown>>;
  /** Whether they name the trace, so that the active span isn't asked. */
  readonly tracesItself: boolean;
  #fields: ReadonlyMap<string, string> | undefined;
  #json: string | undefined;

  /** @param properties plain, without secrets */
  constructor(properties: Readonly<Record<string, unknown>>) {
    this.properties = properties;
    this.tracesItself = Object.hasOwn(properties, 'trace_id');
  }

  /** As JSON, by key: made once, however many records have them. */
  get fields(): ReadonlyMap<string, string> {
    this.#fields ??= new Map(
      Object.entries(this.properties).map(([name, value]) => [fieldKey(name), jsonValue(value)]),
    );
    return this.#fields;
  }

  /** As a part of a JSON line. */
  get json(): string {
    this.#json ??= [...this.fields].map(([key, value]) => key + value).join('');
    return this.#json;
  }
}

export const NO_CONTEXT = new LogContext({});
