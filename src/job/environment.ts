/**
 * Environment variables of a task: the `Env` map and Docker's `EnvironmentVariables` list.
 */
import { reportMissing } from './params.ts';
import { show, type Field, type Report } from './problem.ts';
import { readItems, readText, readTextMap } from './reader.ts';

/** What the node itself tells the program. Bacalhau refuses only the first in `Env`. */
const SYSTEM_PREFIX = 'BACALHAU_';
const SHOAL_PREFIX = 'SHOAL_';

/** Names of variables that mostly carry secrets. */
const SECRET_NAME =
  /(?:^|_)(?:SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIALS?|(?:API|ACCESS|PRIVATE|SECRET)_?KEY)(?:_|$)/i;
/** Characters; shorter values (`none`, `root`) are placeholders rather than secrets. */
const SECRET_MIN = 8;

/** The `Env` of a task. */
export function readEnv(report: Report, field: Field): Readonly<Record<string, string>> {
  const env: [string, string][] = [];
  for (const [key, { text, field: at }] of readTextMap(report, field)) {
    const why = whyNotName(key);
    if (why !== null)
      report.problemAtKey(at, key.startsWith(SYSTEM_PREFIX) ? 'reserved' : 'malformed', why);
    else if (text === '') reportMissing(report, at, `the value of ${key}`);
    if (key.startsWith(SHOAL_PREFIX)) {
      report.warningAtKey(
        at,
        'reserved',
        `${key} may be replaced: names beginning with SHOAL_ are the node's`,
      );
    }
    warnSecret(report, at, key, text);
    env.push([key, text]);
  }
  return Object.fromEntries(env);
}

function whyNotName(key: string): string | null {
  if (key.startsWith(SYSTEM_PREFIX)) {
    return `names beginning with ${SYSTEM_PREFIX} are the node's, got ${show(key)}`;
  }
  // Programs of others ask for `http_proxy`, `my.setting`, `MY-NAME`: what a system takes is taken here.
  if (key !== '' && !/[=\0]/.test(key)) return null;
  return `expected a name without = and NUL, got ${show(key)}`;
}

/** `EnvironmentVariables`: `KEY=value` items; blanks around key and value belong to neither. */
export function readEnvironmentList(report: Report, field: Field): readonly string[] {
  return readItems(report, field).map((item) => {
    const text = readText(report, item);
    const equals = text.indexOf('=');
    const key = text.slice(0, Math.max(equals, 0)).trim();
    const value = text.slice(equals + 1).trim();
    if (equals < 0 || key === '') {
      report.problem(item, 'malformed', `expected NAME=value, got ${show(text)}`);
    } else if (/^(?:BACALHAU_|SHOAL_)/i.test(key)) {
      report.problem(
        item,
        'reserved',
        `names beginning with ${SYSTEM_PREFIX} or ${SHOAL_PREFIX} are the node's, got ${show(key)}`,
      );
    }
    warnSecret(report, item, key, value);
    return `${key}=${value}`;
  });
}

function warnSecret(report: Report, field: Field, key: string, value: string): void {
  if (!SECRET_NAME.test(key) || value.length < SECRET_MIN || value.startsWith('env:')) return;
  report.warning(
    field,
    'doubtful',
    `${show(key)} looks like a secret, and every peer of the mesh can read a spec; in Env, env:NAME takes the value from the node that runs the job`,
  );
}
