/**
 * Characters that a terminal obeys or does not show: controls (C0 and C1), marks that reverse or
 * join text, zero-width ones, separators of lines and paragraphs. In somebody's words they let a
 * text look like another one. Line ends and tabs are not among them.
 */

const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text without them. */
export const withoutHidden = (text: string): string => text.replace(HIDDEN, '');

/** Looked for first, because it is twice as fast, and most of a long answer is none of it. */
const UNUSUAL = /[^\n\t\x20-\x7e]+/g;

/** JSON text with them as escapes, which mean the same. */
export const escapeHidden = (json: string): string =>
  json.replace(UNUSUAL, (some) => some.replace(HIDDEN, unitsOf));

const unitsOf = (character: string): string =>
  character
    .split('')
    .map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`)
    .join('');

/** YAML text with them as escapes; they must stand in double quotes. */
export const escapeHiddenInYaml = (yaml: string): string =>
  yaml.replace(HIDDEN, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
  });

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');
