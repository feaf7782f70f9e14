/**
 * The labels of this peer: those of its configuration, and what was set or taken away since, which is written down
 * beside them. A key that was never touched follows the configuration.
 */
import { join } from 'node:path';
import type { LabelChange } from '../api/service.ts';
import {
  isLabelValue,
  LABEL_KEY,
  LABELS_EXPECTED,
  LABELS_MAX,
  tooManyLabels,
} from '../config/labels.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import { readIfThere, writeDurably } from '../lib/durable-file.ts';
import type { Log } from '../lib/log.ts';

type Labels = Readonly<Record<string, string>>;

export interface NodeLabels {
  now(): Labels;
  /**
   * On return it is on disk. One change at a time.
   * @returns all labels then
   * @throws ShoalError `request-invalid` when there would be too many.
   */
  change(change: LabelChange): Promise<Labels>;
}

/** @param configured as the configuration has them */
export async function openLabels(
  dataDir: string,
  configured: Labels,
  log: Log,
): Promise<NodeLabels> {
  const path = join(dataDir, 'labels.json');
  let changed = await readChanges(path, configured, log);
  let last: Promise<unknown> = Promise.resolve();
  const now = (): Labels => Object.fromEntries(merged(configured, changed));

  async function write({ set, remove }: LabelChange): Promise<Labels> {
    const next = new Map(changed);
    for (const key of remove) {
      // One that the configuration has comes back with it, unless it is remembered as taken away.
      if (Object.hasOwn(configured, key)) next.set(key, null);
      else next.delete(key);
    }
    for (const [key, value] of Object.entries(set)) next.set(key, value);
    const tooMany = tooManyLabels(merged(configured, next));
    if (tooMany !== null || next.size > 2 * LABELS_MAX)
      throw new ShoalError({
        code: 'request-invalid',
        place: 'labels',
        value: tooMany ?? `${next.size} labels that were set or taken away`,
        expected: LABELS_EXPECTED,
      });
    await writeDurably(path, `${JSON.stringify(Object.fromEntries(next))}\n`);
    changed = next;
    return now();
  }

  return {
    now,
    change(change) {
      const done = last.then(() => write(change));
      last = done.catch(() => {});
      return done;
    },
  };
}

function merged(configured: Labels, changed: Changes): ReadonlyMap<string, string> {
  const labels = new Map(Object.entries(configured));
  for (const [key, value] of changed) {
    if (value === null) labels.delete(key);
    else labels.set(key, value);
  }
  return labels;
}

/** null: taken away. */
type Changes = ReadonlyMap<string, string | null>;

/** What cannot be read, or is too much beside the configuration, counts as never set: the peer runs under its configuration, and says so. */
async function readChanges(path: string, configured: Labels, log: Log): Promise<Changes> {
  try {
    const text = await readIfThere(path);
    if (text === null) return new Map();
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new TypeError('it is no object');
    const changes = new Map(
      Object.entries(value as Readonly<Record<string, unknown>>).filter(
        (entry): entry is [string, string | null] => isLabel(entry[0], entry[1]),
      ),
    );
    // The configuration may have grown since.
    const tooMany = tooManyLabels(merged(configured, changes));
    if (tooMany !== null) throw new RangeError(`with the configuration there are ${tooMany}`);
    return changes;
  } catch (error) {
    log.warn({ error, path }, 'labels.not-read');
    return new Map();
  }
}

const isLabel = (key: string, value: unknown): boolean =>
  LABEL_KEY.test(key) && (value === null || isLabelValue(value));
