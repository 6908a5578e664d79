import { type MessageTemplate, parseTemplate } from './message-template.js';

/** Templates are constants of the program; a program that builds them at run time must not fill the memory. */
const MAX_TEMPLATES = 500;
const MAX_LENGTH = 2000;

/** Parses each template once, as long as there are not unreasonably many: then those that are used stay. */
export class TemplateCache {
  #young = new Map<string, MessageTemplate>();
  #old = new Map<string, MessageTemplate>();

  get(text: string): MessageTemplate {
    return this.#young.get(text) ?? this.#find(text);
  }

  #find(text: string): MessageTemplate {
    const template = this.#old.get(text) ?? parseTemplate(text);
    if (text.length > MAX_LENGTH) return template;
    if (this.#young.size >= MAX_TEMPLATES) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, template);
    return template;
  }
}
