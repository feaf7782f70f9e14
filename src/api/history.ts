/**
 * The history of a job in numbers and pages. The number of an event is its place in the story, so whoever has the same
 * records gives it the same one. An older fact may become known late and be told among those before it; so that a
 * reader that pages misses none, `HistoryBook` keeps the order in which this process came to know them.
 */
import { randomBytes } from 'node:crypto';
import { storyOf } from './story.ts';
import type { Told } from './story.ts';
import type { StoryEvent } from './story-event.ts';
import { rfc3339 } from './times.ts';
import type { HistoryJson } from './types.ts';

/** Stories whose order is remembered; beyond that the one not asked for longest is forgotten. */
const STORIES_MAX = 1000;
/** Events of all of them; a job of ten thousand partitions has a hundred thousand. */
const EVENTS_MAX = 200_000;
/** Events that no record tells of any more, beside as many as one does. */
const PAST_MAX = 1_000;

/** By key: as the how manieth this process came to know each. */
interface Seen {
  readonly known: Map<string, number>;
  last: number;
}

/** What a reader has been told. */
export interface Place {
  /** The process that `from` and `to` are of. */
  readonly book: string;
  /** All that it knew first. */
  readonly from: number;
  /** Of what it came to know after that, up to here, some: as many as `offset`, in the order of the story. */
  readonly to: number;
  readonly offset: number;
}

export interface Page {
  readonly items: readonly HistoryJson[];
  readonly next: Place;
  /** Nothing more is known now. */
  readonly isLast: boolean;
}

export class HistoryBook {
  /** Names this process in the places it gives. */
  readonly id = randomBytes(4).toString('hex');
  readonly #stories = new Map<string, Seen>();
  #count = 0;

  /** Events remembered. */
  get size(): number {
    return this.#count;
  }

  /** Where a reader begins. */
  get start(): Place {
    return { book: this.id, from: 0, to: 0, offset: 0 };
  }

  /** The next `limit` wanted events of these versions after `place`. */
  page(
    views: readonly Told[],
    place: Place,
    limit: number,
    wanted: (event: HistoryJson) => boolean,
  ): Page {
    const story = storyOf(views);
    const seen = this.#note(views, story);
    const { from, to, offset } = this.#placeHere(place, story.length, seen.last);
    const job = jobOf(views);
    const items: HistoryJson[] = [];
    let [at, looked] = [0, 0];
    for (const event of story) {
      at += 1;
      const number = seen.known.get(event.key) ?? 0;
      if (number <= from || number > to) continue;
      looked += 1;
      if (looked <= offset) continue;
      if (items.length >= limit)
        return { items, next: { book: this.id, from, to, offset: looked - 1 }, isLast: false };
      const told = historyJson(job, event, at);
      if (wanted(told)) items.push(told);
    }
    const next = { book: this.id, from: to, to, offset: 0 };
    return { items, next, isLast: to >= seen.last };
  }

  /** What another process of this peer told, or another peer, is taken for the beginning of the story as it is here. */
  #placeHere(place: Place, length: number, last: number): Omit<Place, 'book'> {
    const { book, from, to, offset } = place;
    if (book !== this.id) return { from: 0, to: last, offset: Math.min(from + offset, length) };
    return { from, to: to > from ? to : last, offset };
  }

  #note(views: readonly Told[], story: readonly StoryEvent[]): Seen {
    const name = `${jobOf(views)} ${views.length === 1 ? views[0]?.records.spec.body.version : ''}`;
    const seen = this.#stories.get(name) ?? { known: new Map<string, number>(), last: 0 };
    this.#stories.delete(name);
    this.#stories.set(name, seen);
    const before = seen.known.size;
    for (const { key } of story) {
      if (seen.known.has(key)) continue;
      seen.last += 1;
      seen.known.set(key, seen.last);
    }
    if (seen.known.size > 2 * story.length + PAST_MAX) forgetPast(seen, story);
    this.#count += seen.known.size - before;
    for (const [oldest, { known }] of this.#stories) {
      const few = this.#stories.size <= STORIES_MAX && this.#count <= EVENTS_MAX;
      if (few || oldest === name) break;
      this.#stories.delete(oldest);
      this.#count -= known.size;
    }
    return seen;
  }
}

/** A program is restarted for months, and of its restarts the last few are told. */
function forgetPast({ known }: Seen, story: readonly StoryEvent[]): void {
  const told = new Set(story.map(({ key }) => key));
  for (const key of known.keys()) if (!told.has(key)) known.delete(key);
}

const jobOf = (views: readonly Told[]): string => views[0]?.records.spec.body.job ?? '';

function historyJson(job: string, event: StoryEvent, number: number): HistoryJson {
  const { message, topic, details, execution, version } = event;
  const time = rfc3339(event.at);
  return {
    SeqNum: number,
    Type: execution === null ? 'JobLevel' : 'ExecutionLevel',
    JobID: job,
    JobVersion: version,
    ...(execution === null ? {} : { ExecutionID: execution }),
    Event: { Message: message, Topic: topic, Timestamp: time, Details: details },
    Time: time,
  };
}
