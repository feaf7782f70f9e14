/**
 * What is true about each job, gathered from outside: every record and every vote that left a node
 * or reached a disk. Certificates are counted here by code of its own, not by the core's. The
 * checkers judge; this file only reports two values for one slot and certificates that prove nothing.
 */
import {
  compareConfigs,
  FIRST_CONFIG,
  firstConfiguration,
  parentOf,
} from '../../src/core/record/chain.ts';
import type { JobId, NodeId, RecordId } from '../../src/core/record/ids.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { Gossip, JobRecords, Message, SlotValue } from '../../src/core/contract/messages.ts';
import type {
  AdmissionBody,
  AnyRecord,
  Certified,
  ConfigBody,
  Epoch,
  RecordType,
  Signed,
  SpecBody,
  VoteBody,
  Configuration,
} from '../../src/core/record/records.ts';
import { createFastSuite, nodeIdOf, nodeKey, ownerKey } from './fast-suite.ts';
import type { NodeView, Observer } from './observer.ts';

export interface JobFacts {
  readonly job: JobId;
  spec: SpecBody | null;
  /** Of its first version. */
  first: SpecBody | null;
  /** Every admission seen, by record id; more than one certified is a violation. */
  readonly admissions: Map<string, AdmissionBody>;
  /** W keepers signed this admission. */
  admitted: { readonly body: AdmissionBody; readonly at: number } | null;
  /** Every later configuration that was proposed, by record id. */
  readonly configs: Map<RecordId, ConfigBody>;
  /** What was chosen in each line, by the major of its configurations. A job that was never re-seeded has one, 0. */
  readonly lines: Map<number, Chosen>;
  /** The line that is looked at: the highest, until the nodes have come together and go by another. */
  line: number;
  /** Of the job: the latest that was chosen in this line. */
  version: number;
  /** Certified values by slot: of this line, or of those that it came from. */
  readonly chosen: Chosen;
  /** Epochs that some keeper promised, as text, with the first time. */
  readonly epochs: Map<string, number>;
}

/** Certified values by slot. */
export type Chosen = Map<string, { readonly record: SlotValue; readonly at: number }>;

export interface Facts {
  readonly jobs: Map<JobId, JobFacts>;
  readonly observer: Observer;
  /** When the job's close was certified; null while it is open. */
  closedAt(job: JobId): number | null;
  /** Who signed that it holds this record, or has it accepted, as `node|store`. */
  signers(of: RecordId): ReadonlySet<string>;
  /** From now on the job is what it is in this line. */
  follow(job: JobId, line: number): void;
}

export interface FactsContext {
  now(): number;
  violation(checker: string, node: NodeView | null, job: JobId | null, message: string): void;
}

/** What a vote says, or a keeper's disk. */
type Counted = Pick<VoteBody, 'job' | 'of' | 'slot' | 'epoch' | 'store'> & {
  readonly signer: NodeId;
};

export const majorityOf = (keepers: number): number => Math.floor(keepers / 2) + 1;
export const epochText = (epoch: Epoch): string =>
  `${epoch.config.major}.${epoch.config.minor}.${epoch.number}.${epoch.leader}`;

/** One word for what a committed value says. */
export function valueText(value: SlotValue): string {
  switch (value.type) {
    case 'assign':
      return `${value.body.execution} on ${value.body.node}`;
    case 'accept':
      return `${value.body.execution} result ${value.body.result?.cid.slice(0, 14) ?? 'none'}`;
    case 'close':
      return `${value.body.outcome} (${value.body.code})`;
    case 'version':
      return `version ${value.body.version} ${value.id.slice(0, 8)}`;
    case 'config':
      return value.body.keepers.map(({ node }) => node).join(' ');
  }
}

export const slotText = (value: SlotValue): string => {
  if (value.type === 'config')
    return `config/${value.body.config.major}/${value.body.config.minor}`;
  const { version } = value.body;
  if (value.type === 'version') return `version/${version}`;
  if (value.type === 'close') return `close/${version}`;
  const { partition } = value.body;
  return value.type === 'accept'
    ? `accept/${version}/${partition}`
    : `assign/${version}/${partition}/${value.body.attempt}`;
};

const { verify, specIn } = createFastSuite({ node: nodeKey(0), owner: ownerKey(0), freeze: false });

/** Another version is the job's: how it is to end is in its spec. */
function turn(facts: JobFacts, { body }: Signed<'version'>): void {
  facts.version = body.version;
  facts.spec = specIn(body.spec)?.body ?? facts.spec;
}

/** The line and those that it came from, the latest first. */
function wayTo(facts: JobFacts, line: number): readonly number[] {
  const way = [line];
  for (;;) {
    const { reseeds } =
      [...facts.configs.values()].find(
        ({ config, reseeds: from }) => config.major === way.at(-1) && from !== undefined,
      ) ?? {};
    if (reseeds === undefined) return way;
    way.push(reseeds.major);
  }
}

/** What was chosen in this line counts before what was in those before it. */
function follow(facts: JobFacts, line: number): void {
  facts.line = line;
  facts.version = 1;
  facts.spec = facts.first ?? facts.spec;
  facts.chosen.clear();
  for (const major of wayTo(facts, line))
    for (const [slot, value] of facts.lines.get(major) ?? [])
      if (!facts.chosen.has(slot)) facts.chosen.set(slot, value);
  for (const { record } of facts.chosen.values())
    if (record.type === 'version' && record.body.version > facts.version) turn(facts, record);
}

/** It is in the line that is looked at, or in one that this came from. */
const isSeen = (facts: JobFacts, major: number): boolean =>
  wayTo(facts, facts.line).includes(major);

/** One set of keepers may be asked twice to re-seed the job: the name says who keeps it and since when, so both are one. */
const isSameSet = ({ body: a }: SlotValue, { body: b }: SlotValue): boolean =>
  'reseeds' in a && 'reseeds' in b && JSON.stringify(a) === JSON.stringify(b);

/** The end of its latest version. */
export const endOf = (facts: JobFacts | undefined) => facts?.chosen.get(`close/${facts.version}`);

export function createFacts(context: FactsContext): Facts {
  const jobs = new Map<JobId, JobFacts>();
  /** Objects already looked at: messages repeat them. */
  const seen = new WeakSet<object>();
  const proposed = new Map<string, SlotValue>();
  /** The one value that may be proposed in a ballot. */
  const ballots = new Map<string, string>();
  /** Voters by value and ballot. */
  const voters = new Map<string, Set<string>>();
  const signers = new Map<string, Set<string>>();

  const factsOf = (job: JobId): JobFacts => {
    const known = jobs.get(job);
    if (known !== undefined) return known;
    const fresh: JobFacts = {
      job,
      spec: null,
      first: null,
      admissions: new Map(),
      admitted: null,
      configs: new Map(),
      lines: new Map(),
      line: 0,
      version: 1,
      chosen: new Map(),
      epochs: new Map(),
    };
    jobs.set(job, fresh);
    return fresh;
  };

  const seeAdmission = (admission: Signed<'admission'>): void => {
    if (verify(admission)) factsOf(admission.body.job).admissions.set(admission.id, admission.body);
  };

  const seeSpec = (spec: SpecBody): void => {
    const facts = factsOf(spec.job);
    if (spec.version === 1) facts.first ??= spec;
    facts.spec ??= spec;
  };

  const choose = (node: NodeView, value: SlotValue, { config }: Epoch): void => {
    const facts = factsOf(value.body.job);
    const slot = slotText(value);
    const line = facts.lines.get(config.major) ?? new Map();
    facts.lines.set(config.major, line);
    const known = line.get(slot);
    if (known === undefined) {
      line.set(slot, { record: value, at: context.now() });
      if (config.major > facts.line) follow(facts, config.major);
      if (!isSeen(facts, config.major)) return;
      const seen = facts.chosen.get(slot);
      if (seen === undefined || config.major === facts.line)
        facts.chosen.set(slot, { record: value, at: context.now() });
      if (value.type === 'version' && value.body.version > facts.version) turn(facts, value);
      return;
    }
    if (known.record.id === value.id || isSameSet(known.record, value)) return;
    const checker = value.type === 'assign' ? 'S4' : 'S2';
    const both = `${valueText(known.record)} and ${valueText(value)}`;
    context.violation(checker, node, value.body.job, `two certified values in ${slot}: ${both}`);
  };

  const admit = (node: NodeView, id: string, body: AdmissionBody): void => {
    const facts = factsOf(body.job);
    facts.admitted ??= { body, at: context.now() };
    if (facts.admitted.body !== body && [...facts.admissions].some(([other]) => other !== id)) {
      const same = JSON.stringify(facts.admitted.body) === JSON.stringify(body);
      if (!same) context.violation('S1', node, body.job, 'two different admissions are certified');
    }
  };

  /** W keepers that hold a value under one ballot have chosen it, whether anyone noticed or not. */
  const count = (node: NodeView, vote: Counted): void => {
    const { job, of, slot, epoch, signer, store } = vote;
    const facts = factsOf(job);
    const ballot = `${job}|${slot}|${of}|${epochText(epoch)}`;
    const set = voters.get(ballot) ?? new Set();
    voters.set(ballot, set.add(`${signer}|${store}`));
    if (proposed.get(of)?.type === 'config')
      signers.set(of, (signers.get(of) ?? new Set()).add(`${signer}|${store}`));
    const value = proposed.get(of);
    if (value?.type === 'config' && !isQuorum(value.body, set)) return;
    for (const [id, electors] of electorsOf(facts, epoch)) {
      if ((slot === 'admission' && of !== id) || !isQuorum(electors, set)) continue;
      const admission = facts.admissions.get(id);
      if (slot === 'admission' && admission !== undefined) admit(node, id, admission);
      if (value !== undefined) choose(node, value, epoch);
    }
  };

  const seeVote = (node: NodeView, vote: Signed<'vote'>): void => {
    if (seen.has(vote) || !verify(vote)) return;
    seen.add(vote);
    const { job, slot, epoch } = vote.body;
    const { epochs } = factsOf(job);
    // Number 0 comes with the admission; being confirmed does not make it a new epoch.
    if (slot === 'grant' && epoch.number > 0 && !epochs.has(epochText(epoch))) {
      epochs.set(epochText(epoch), context.now());
    }
    count(node, { ...vote.body, signer: nodeIdOf(vote.by) });
  };

  const seeValue = (value: SlotValue): void => {
    if (!verify(value)) return;
    proposed.set(value.id, value);
    if (value.type === 'config') factsOf(value.body.job).configs.set(value.id, value.body);
  };

  /** A certificate that an honest node shows must prove what it says. */
  const seeCertified = (node: NodeView, certified: Certified<RecordType>): void => {
    if (seen.has(certified.votes)) return;
    seen.add(certified.votes);
    const record = certified.record as AnyRecord;
    if (record.type === 'admission') seeAdmission(record);
    if (
      record.type === 'assign' ||
      record.type === 'accept' ||
      record.type === 'close' ||
      record.type === 'version' ||
      record.type === 'config'
    )
      seeValue(record);
    for (const vote of certified.votes) seeVote(node, vote);
    if (!('job' in record.body)) return;
    const { job } = record.body;
    const problem = weakness(certified, factsOf(job));
    if (problem !== null) {
      context.violation('S13', node, job, `shows a ${record.type} certificate that ${problem}`);
    }
  };

  const seeRecords = (node: NodeView, records: JobRecords): void => {
    seeSpec(records.spec.body);
    seeCertified(node, records.admission);
    if (records.grant !== null) seeCertified(node, records.grant);
    for (const value of records.committed) seeCertified(node, value);
  };

  const seeMessage = (node: NodeView, message: Message): void => {
    switch (message.type) {
      case 'admit':
        seeSpec(message.spec.body);
        return seeAdmission(message.admission);
      case 'admitted':
        return seeVote(node, message.vote);
      case 'activate':
        seeSpec(message.spec.body);
        return seeCertified(node, message.admission);
      case 'promise':
        return seeVote(node, message.vote);
      case 'page':
        return message.committed.forEach((value) => seeCertified(node, value));
      case 'propose':
        return message.values.forEach(({ slot, value }) => {
          seeValue(value);
          const ballot = `${message.job}|${slot}|${epochText(message.epoch)}`;
          const known = ballots.get(ballot) ?? value.id;
          ballots.set(ballot, known);
          if (known === value.id) return;
          const text = `proposes two values for ${slot} in epoch ${epochText(message.epoch)}`;
          context.violation('S9', node, message.job, text);
        });
      case 'voted':
        return message.votes.forEach((vote) => seeVote(node, vote));
      case 'commit':
        return message.values.forEach((value) => seeCertified(node, value));
      case 'assign':
        seeCertified(node, message.admission);
        if (message.grant !== null) seeCertified(node, message.grant);
        return message.assigns.forEach((value) => seeCertified(node, value));
      case 'leads':
        return message.grant === null ? undefined : seeCertified(node, message.grant);
      case 'cancel':
        return seeCertified(node, message.because);
      case 'closed':
        return seeCertified(node, message.close);
      case 'version':
        return seeCertified(node, message.version);
      case 'found':
        return message.answer.type === 'job' ? seeRecords(node, message.answer.records) : undefined;
      default:
        return undefined;
    }
  };

  const seeWrite = (node: NodeView, write: StoreWrite): void => {
    if (write.value === null) return;
    if (write.table === 'records') {
      const { record, votes } = write.value;
      if (record.type === 'opaque') return;
      if (record.type === 'spec') seeSpec(record.body);
      if (record.type === 'admission') seeAdmission(record);
      // An admission under way lies there with its keeper's own vote: no certificate yet.
      if (write.key === 'pending') votes.forEach((vote) => seeVote(node, vote));
      else if (votes.length > 0) seeCertified(node, { record, votes });
    }
    if (write.table === 'accepted') {
      const { epoch, value } = write.value;
      seeValue(value);
      // A leader's own vote never travels: its disk is the witness.
      count(node, {
        job: write.job,
        of: value.id,
        slot: write.key,
        epoch,
        signer: node.id,
        store: node.store.id,
      });
    }
  };

  return {
    jobs,
    closedAt: (job) => endOf(jobs.get(job))?.at ?? null,
    signers: (of) => signers.get(of) ?? new Set(),
    follow: (job, line) => follow(factsOf(job), line),
    observer: {
      onSend: (node, _to, message) => seeMessage(node, message),
      onGossip: (node, gossip: Gossip) => {
        if (gossip.type === 'closed') seeCertified(node, gossip.close);
      },
      onDurable: (node, writes) => writes.forEach((write) => seeWrite(node, write)),
    },
  };
}

type Electors = Pick<ConfigBody, 'keepers' | 'former'>;

/**
 * Who has a say in an epoch: by admission, as there might be two of them, or by the change that was chosen; of one that
 * re-seeds the job those that it names.
 */
function electorsOf(facts: JobFacts, { config }: Epoch): ReadonlyMap<string, Electors> {
  if (config.major === 0 && config.minor === 0)
    return new Map([...facts.admissions].map(([id, { keepers }]) => [id, { keepers, former: [] }]));
  const slot = `config/${config.major}/${config.minor}`;
  const value = facts.lines.get(config.major)?.get(slot)?.record;
  if (value?.type === 'config') return new Map([[value.id, value.body]]);
  return new Map(
    [...facts.configs].filter(
      ([, one]) => one.reseeds !== undefined && compareConfigs(one.config, config) === 0,
    ),
  );
}

/** A majority of those that come, and of those that were. */
function isQuorum({ keepers, former }: Electors, voted: ReadonlySet<string>): boolean {
  const count = (set: Electors['keepers']): number =>
    set.filter(({ node, store }) => voted.has(`${node}|${store}`)).length;
  return [keepers, former].every((set) => set.length === 0 || count(set) >= majorityOf(set.length));
}

/** Who keeps the job by the latest change that was chosen, or by its admission. */
export function keepersNow(facts: JobFacts): Configuration | null {
  let latest: ConfigBody | null = null;
  for (const { record } of facts.chosen.values())
    if (
      record.type === 'config' &&
      compareConfigs(record.body.config, latest?.config ?? FIRST_CONFIG) > 0
    )
      latest = record.body;
  if (latest !== null) return latest;
  return facts.admitted === null ? null : firstConfiguration(facts.admitted.body);
}

/** Who kept it before that; null when its keepers are the first. */
export function keepersBefore(facts: JobFacts): Configuration | null {
  const now = keepersNow(facts);
  if (now === null || now.config.minor === 0) return null;
  const { major, minor } = parentOf(now);
  const before = facts.chosen.get(`config/${major}/${minor}`)?.record;
  if (before?.type === 'config') return before.body;
  return facts.admitted === null ? null : firstConfiguration(facts.admitted.body);
}

/** Why this certificate proves nothing; null when it is good. */
function weakness(certified: Certified<RecordType>, facts: JobFacts): string | null {
  const { record, votes } = certified;
  if (!verify(record as AnyRecord)) return 'certifies a record with a bad signature';
  const admissions =
    record.type === 'admission' ? [record.body as AdmissionBody] : [...facts.admissions.values()];
  if (admissions.length === 0) return null;
  if (votes.length === 0) return 'has no votes';
  const ballots = new Set(votes.map((vote) => epochText(vote.body.epoch)));
  if (ballots.size !== 1) return 'mixes votes of several epochs';
  if (votes.some((vote) => vote.body.of !== record.id)) return 'holds votes for another record';
  if (!votes.every((vote) => verify(vote))) return 'holds a vote with a bad signature';
  const voted = new Set(votes.map((vote) => `${nodeIdOf(vote.by)}|${vote.body.store}`));
  const { epoch } = (votes[0] as Signed<'vote'>).body;
  const enough =
    record.type === 'admission'
      ? isQuorum({ ...(record.body as AdmissionBody), former: [] }, voted)
      : [...electorsOf(facts, epoch).values()].some((electors) => isQuorum(electors, voted)) &&
        (record.type !== 'config' || isQuorum(record.body as ConfigBody, voted));
  return enough ? null : 'has fewer votes than a majority of the keepers';
}
