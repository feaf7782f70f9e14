/**
 * Follows one started container to its end, also across a Docker engine that goes away and comes
 * back. What counts is always what inspecting says; everything else only says when to look. It
 * decides nothing about the outcome.
 */
import type { ContainerInspectInfo } from 'dockerode';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { DockerApi } from './api.ts';
import { DockerCallError } from './api.ts';
import { jsonLines } from './lines.ts';

export type ContainerState = ContainerInspectInfo['State'];

export interface Ending {
  /** `ended`: the container stopped; `gone`: it was removed; `unreachable`: Docker stayed away. */
  readonly type: 'ended' | 'gone' | 'unreachable';
  /** Only when it ended. */
  readonly state: ContainerState | null;
  /** Docker was out of reach at some time. */
  readonly interrupted: boolean;
  /** The kernel killed something in it for want of memory. */
  readonly outOfMemory: boolean;
  /** Somebody had Docker send SIGTERM or SIGKILL. */
  readonly signalled: boolean;
}

export interface WatchOptions {
  readonly id: string;
  readonly condition: 'next-exit' | 'not-running';
  /** How long Docker may stay away, milliseconds. */
  readonly lostAfterMs: number;
  /**
   * Called each time Docker is back and the container still there; its output must be taken up
   * anew.
   */
  readonly onBack: () => void;
  /** Ends the watch as `unreachable`: stopping the container failed for too long. */
  readonly giveUp: AbortSignal;
}

export interface Watch {
  /** Everything that must listen before the container starts does. */
  readonly ending: Promise<Ending>;
  /** Starts looking; before that, only listens. */
  begin(): void;
  /** Stops listening when the container never started. */
  abandon(): void;
}

/**
 * Looks at the container even without a hint: a Docker client may wait for an answer that never
 * comes.
 */
const LOOK_EVERY_MS = 15_000;
/** Time between two tries while Docker is away. */
const RETRY_MS = 500;
/** The kernel's word on memory may come a moment after the exit it explains. */
const OOM_LATE_MS = 300;
const SIGKILLED = 137;

interface Notes {
  outOfMemory: boolean;
  signalled: boolean;
}

/** Starts listening to a container that was created. @throws DockerCallError */
export async function watchContainer(api: DockerApi, options: WatchOptions): Promise<Watch> {
  const notes: Notes = { outOfMemory: false, signalled: false };
  const first = await listen(api, options, notes);
  let begin: (started: boolean) => void = () => undefined;
  const begun = new Promise<boolean>((resolve) => {
    begin = resolve;
  });
  const ending = begun.then((started) => {
    if (started) return follow(api, options, notes, first);
    first.close();
    return endingOf('gone', null, notes, false);
  });
  return { ending, begin: () => begin(true), abandon: () => begin(false) };
}

/** The container exited; or the line to Docker broke, and output may have been missed. */
type Hint = 'exited' | 'broken';

interface Listener {
  /** Resolves when it is worth looking. */
  readonly hint: Promise<Hint>;
  close(): void;
}

async function listen(api: DockerApi, options: WatchOptions, notes: Notes): Promise<Listener> {
  const events = await api.events(options.id);
  const controller = new AbortController();
  const told = readEvents(events, notes);
  const exited = api
    .exited(options.id, options.condition, controller.signal)
    .then((answered): Hint => (answered ? 'exited' : 'broken'));
  return {
    hint: Promise.race([told, exited]),
    close() {
      controller.abort();
      events.destroy();
    },
  };
}

interface DockerEvent {
  readonly Action?: string;
  readonly Actor?: { readonly Attributes?: { readonly signal?: string } };
}

/** Takes notes until the container dies or the stream ends. */
async function readEvents(events: Readable, notes: Notes): Promise<Hint> {
  for await (const line of jsonLines(events)) {
    const event = line as DockerEvent;
    if (event.Action === 'oom') notes.outOfMemory = true;
    const signal = event.Actor?.Attributes?.signal;
    if (event.Action === 'kill' && (signal === '9' || signal === '15')) notes.signalled = true;
    if (event.Action === 'die') return 'exited';
  }
  return 'broken';
}

async function follow(
  api: DockerApi,
  options: WatchOptions,
  notes: Notes,
  first: Listener,
): Promise<Ending> {
  let listener: Listener | null = first;
  let interrupted = false;
  try {
    for (;;) {
      const hint: Hint | null =
        listener === null ? null : await firstOf(listener.hint, LOOK_EVERY_MS, options.giveUp);
      const seen = await look(api, options);
      const broken = seen.interrupted || hint === 'broken';
      interrupted ||= broken;
      if (seen.type !== 'there') return endingOf(seen.type, null, notes, interrupted);
      if (broken) options.onBack();
      if (!seen.state.Running) return await lastWords(api, options, seen.state, notes, interrupted);
      if (options.giveUp.aborted) return endingOf('unreachable', null, notes, interrupted);
      if (hint !== null || broken) {
        listener?.close();
        listener = null;
      }
      if (listener === null) {
        // Not at once: Docker may be going down, and would answer and break off again and again.
        await delay(RETRY_MS);
        // It may have ended since it was looked at, so the next exit is the wrong thing to wait
        // for.
        const again = { ...options, condition: 'not-running' } as const;
        listener = await listen(api, again, notes).catch(() => null);
      }
    }
  } finally {
    listener?.close();
  }
}

/** Waits for the hint, but not longer than `ms`. @returns null when it did not come */
async function firstOf(hint: Promise<Hint>, ms: number, giveUp: AbortSignal): Promise<Hint | null> {
  const timer = new AbortController();
  const signal = AbortSignal.any([timer.signal, giveUp]);
  const late = delay(ms, null, { signal }).catch(() => null);
  const result = await Promise.race([hint, late]);
  timer.abort();
  return result;
}

type Look =
  | { readonly type: 'there'; readonly state: ContainerState; readonly interrupted: boolean }
  | { readonly type: 'gone' | 'unreachable'; readonly interrupted: boolean };

/** Inspects, and asks again for as long as Docker may stay away. */
async function look(
  api: DockerApi,
  options: Pick<WatchOptions, 'id' | 'lostAfterMs' | 'giveUp'>,
): Promise<Look> {
  const since = performance.now();
  for (let interrupted = false; ; interrupted = true) {
    try {
      const found = await api.inspect(options.id);
      if (found === null) return { type: 'gone', interrupted };
      return { type: 'there', state: found.State, interrupted };
    } catch (error) {
      if (!(error instanceof DockerCallError)) throw error;
      const away = performance.now() - since;
      if (away >= options.lostAfterMs || options.giveUp.aborted) {
        return { type: 'unreachable', interrupted: true };
      }
    }
    await delay(RETRY_MS);
  }
}

/**
 * Inspects with patience. @returns null when the container is not there. @throws DockerCallError
 */
export async function inspectPatiently(
  api: DockerApi,
  id: string,
  lostAfterMs: number,
  signal: AbortSignal,
): Promise<ContainerInspectInfo | null> {
  const since = performance.now();
  for (;;) {
    try {
      return await api.inspect(id);
    } catch (error) {
      const late = performance.now() - since >= lostAfterMs;
      if (!(error instanceof DockerCallError) || late || signal.aborted) throw error;
    }
    await delay(RETRY_MS);
  }
}

async function lastWords(
  api: DockerApi,
  options: WatchOptions,
  state: ContainerState,
  notes: Notes,
  interrupted: boolean,
): Promise<Ending> {
  const unexplained = state.ExitCode === SIGKILLED && !state.OOMKilled;
  if (!unexplained || notes.outOfMemory || notes.signalled) {
    return endingOf('ended', state, notes, interrupted);
  }
  await delay(OOM_LATE_MS);
  const again = await api.inspect(options.id).catch(() => null);
  return endingOf('ended', again?.State ?? state, notes, interrupted);
}

function endingOf(
  type: Ending['type'],
  state: ContainerState | null,
  notes: Notes,
  interrupted: boolean,
): Ending {
  return {
    type,
    state,
    interrupted,
    outOfMemory: notes.outOfMemory || (state?.OOMKilled ?? false),
    signalled: notes.signalled,
  };
}
