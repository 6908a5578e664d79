const HEX = /^[0-9a-f]+$/;
const ONLY_ZEROS = /^0+$/;

/** Whether the text is an id of so many hexadecimal digits in lower case, and not all zeros, which means none. */
export function isId(text: string, digits: number): boolean {
  return text.length === digits && HEX.test(text) && !ONLY_ZEROS.test(text);
}

/** A random id of 8 hexadecimal digits for each word. Ids need to be unique, not unguessable. */
export function randomId(words: number): string {
  let id = '';
  // No word is zero, because no id may be nothing but zeros.
  for (let i = 0; i < words; i++) id += (1 + Math.floor(Math.random() * 0xffff_ffff)).toString(16).padStart(8, '0');
  return id;
}
