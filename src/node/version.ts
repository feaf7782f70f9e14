/** This software's version, from the package file; in a bundle it is put in when that is built. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

declare const SHOAL_VERSION: string | undefined;

export function version(): string {
  if (typeof SHOAL_VERSION === 'string') return SHOAL_VERSION;
  const file = join(import.meta.dirname, '..', '..', 'package.json');
  const { version: text } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return text;
}
