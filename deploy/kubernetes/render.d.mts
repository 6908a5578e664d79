export interface Rendering {
  /** Path of the file with values. */
  readonly values: string;
  readonly target: string;
  readonly firstLine: string;
}

export const renderings: readonly Rendering[];
export function render(values: string, ...flags: string[]): string;
