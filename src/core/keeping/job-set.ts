/**
 * A set of job ids in the order in which they came, each with a moment, in 40 bytes a job: a node
 * remembers a hundred thousand jobs that are over, and each as an object would be ten times that.
 */
import { asJobId } from '../record/ids.ts';
import type { JobId } from '../record/ids.ts';

/** 32-bit words of an id. */
const WORDS = 4;
const EMPTY_BUCKET = -1;
const DELETED_BUCKET = -2;
const FIRST_CAPACITY = 64;
/** `j-` and the 36 characters of a uuid in small letters. */
const LENGTH = 38;
const DASH = 45;

const isDash = (at: number): boolean => at === 10 || at === 15 || at === 20 || at === 25;

/** −1 for what is no hexadecimal digit. */
function digitOf(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

export class JobSet {
  /** Ids by position; a position is used once, and all are renumbered when the room is used up. */
  #ids = new Uint32Array(FIRST_CAPACITY * WORDS);
  #moments = new Float64Array(FIRST_CAPACITY);
  /** Hash table of positions, at most half full. */
  #buckets = new Int32Array(2 * FIRST_CAPACITY).fill(EMPTY_BUCKET);
  /** Buckets that are not empty, deleted ones included. */
  #used = 0;
  #first = 0;
  #next = 0;
  #size = 0;
  readonly #wanted = new Uint32Array(WORDS);

  get size(): number {
    return this.#size;
  }

  has(job: JobId): boolean {
    return this.#read(job) && this.#find() >= 0;
  }

  /** The moment that came with the job; null when it is not in the set. */
  momentOf(job: JobId): number | null {
    const bucket = this.#read(job) ? this.#find() : -1;
    return bucket < 0 ? null : (this.#moments[this.#buckets[bucket] ?? 0] ?? null);
  }

  /** Adds a job as the newest; one that is there keeps its place and gets the moment. Ids of another form are not kept. */
  add(job: JobId, moment: number): void {
    if (!this.#read(job)) return;
    const known = this.#find();
    if (known >= 0) {
      this.#moments[this.#buckets[known] ?? 0] = moment;
      return;
    }
    if (this.#next === this.#moments.length || 2 * this.#used >= this.#buckets.length) {
      this.#renew();
      this.#read(job);
    }
    this.#put(moment);
  }

  delete(job: JobId): boolean {
    const bucket = this.#read(job) ? this.#find() : -1;
    if (bucket < 0) return false;
    this.#moments[this.#buckets[bucket] ?? 0] = Number.NaN;
    this.#buckets[bucket] = DELETED_BUCKET;
    this.#size -= 1;
    while (this.#first < this.#next && Number.isNaN(this.#moments[this.#first])) this.#first += 1;
    return true;
  }

  /** The job that came first; null when there is none. */
  oldest(): JobId | null {
    return this.#size === 0 ? null : this.#idAt(this.#first);
  }

  /** At most `most` jobs whose moment is before this one, oldest first; the others are passed over as numbers. */
  before(moment: number, most: number): readonly JobId[] {
    const found: JobId[] = [];
    for (let at = this.#first; at < this.#next && found.length < most; at += 1)
      if ((this.#moments[at] ?? Number.NaN) < moment) found.push(this.#idAt(at));
    return found;
  }

  /** Jobs and their moments, oldest first. The set must not change meanwhile. */
  *[Symbol.iterator](): Generator<readonly [JobId, number], void, undefined> {
    for (let at = this.#first; at < this.#next; at += 1) {
      const moment = this.#moments[at] ?? Number.NaN;
      if (!Number.isNaN(moment)) yield [this.#idAt(at), moment];
    }
  }

  #put(moment: number): void {
    const at = this.#next;
    this.#next += 1;
    this.#ids.set(this.#wanted, at * WORDS);
    this.#moments[at] = moment;
    let bucket = this.#hash();
    while ((this.#buckets[bucket] ?? EMPTY_BUCKET) >= 0)
      bucket = (bucket + 1) % this.#buckets.length;
    if (this.#buckets[bucket] === EMPTY_BUCKET) this.#used += 1;
    this.#buckets[bucket] = at;
    this.#size += 1;
  }

  /** Everything moved together, in twice the room when that is needed. */
  #renew(): void {
    const [ids, moments, from, to] = [this.#ids, this.#moments, this.#first, this.#next];
    const capacity = Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(2 * this.#size + 1)));
    this.#ids = new Uint32Array(capacity * WORDS);
    this.#moments = new Float64Array(capacity);
    this.#buckets = new Int32Array(2 * capacity).fill(EMPTY_BUCKET);
    this.#used = 0;
    this.#first = 0;
    this.#next = 0;
    this.#size = 0;
    for (let at = from; at < to; at += 1) {
      const moment = moments[at] ?? Number.NaN;
      if (Number.isNaN(moment)) continue;
      this.#wanted.set(ids.subarray(at * WORDS, (at + 1) * WORDS));
      this.#put(moment);
    }
  }

  /** The id at hand as words. @returns false when it has not the form of an id */
  #read(job: JobId): boolean {
    if (job.length !== LENGTH || !job.startsWith('j-')) return false;
    let digits = 0;
    let word = 0;
    // Asked of nearly every message, so without making texts of the parts.
    for (let at = 2; at < LENGTH; at += 1) {
      const code = job.charCodeAt(at);
      if (isDash(at)) {
        if (code !== DASH) return false;
        continue;
      }
      const digit = digitOf(code);
      if (digit < 0) return false;
      word = (word << 4) | digit;
      digits += 1;
      if (digits % 8 === 0) this.#wanted[digits / 8 - 1] = word;
    }
    return true;
  }

  /** Bucket of the id at hand; −1 when there is none. */
  #find(): number {
    for (let bucket = this.#hash(); ; bucket = (bucket + 1) % this.#buckets.length) {
      const at = this.#buckets[bucket] ?? EMPTY_BUCKET;
      if (at === EMPTY_BUCKET) return -1;
      if (at >= 0 && this.#isAt(at)) return bucket;
    }
  }

  #isAt(at: number): boolean {
    for (let word = 0; word < WORDS; word += 1)
      if (this.#ids[at * WORDS + word] !== this.#wanted[word]) return false;
    return true;
  }

  /** Ids are hashes already; but others may choose theirs, so all of the id counts. */
  #hash(): number {
    let hash = 0x811c9dc5;
    for (const word of this.#wanted) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15);
    return (hash >>> 0) % this.#buckets.length;
  }

  #idAt(at: number): JobId {
    const digits = [...this.#ids.subarray(at * WORDS, (at + 1) * WORDS)]
      .map((word) => word.toString(16).padStart(8, '0'))
      .join('');
    const parts = [0, 8, 12, 16, 20, 32].map((from, index, all) =>
      digits.slice(from, all[index + 1]),
    );
    return asJobId(`j-${parts.slice(0, 5).join('-')}`);
  }
}
