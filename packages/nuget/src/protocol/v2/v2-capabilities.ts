/** What a source says in `$metadata` that it can be asked. Names are in lower case. */
export interface V2Capabilities {
  readonly functions: ReadonlySet<string>;
  /** Properties of its packages. */
  readonly properties: ReadonlySet<string>;
}
