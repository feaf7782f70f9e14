/**
 * What is true about each job, gathered from outside: every record and every vote that left a node
 * or reached a disk. Certificates are counted here by code of its own, not by the core's. The
 * checkers judge; this file only reports two values for one slot and certificates that prove nothing.
 */
import { compareConfigs, FIRST_CONFIG, firstConfiguration } from '../../src/core/record/chain.ts';
import type { JobId, NodeId } from '../../src/core/record/ids.ts';
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
  /** Every admission seen, by record id; more than one certified is a violation. */
  readonly admissions: Map<string, AdmissionBody>;
  /** W keepers signed this admission. */
  admitted: { readonly body: AdmissionBody; readonly at: number } | null;
  /** Every later configuration that was proposed, by record id. */
  readonly configs: Map<string, ConfigBody>;
  /** Of the job: the latest that was chosen. */
  version: number;
  /** Certified values by slot. */
  readonly chosen: Map<string, { readonly record: SlotValue; readonly at: number }>;
  /** Epochs that some keeper promised, as text, with the first time. */
  readonly epochs: Map<string, number>;
}

export interface Facts {
  readonly jobs: Map<JobId, JobFacts>;
  readonly observer: Observer;
  /** When the job's close was certified; null while it is open. */
  closedAt(job: JobId): number | null;
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

  const factsOf = (job: JobId): JobFacts => {
    const known = jobs.get(job);
    if (known !== undefined) return known;
    const fresh: JobFacts = {
      job,
      spec: null,
      admissions: new Map(),
      admitted: null,
      configs: new Map(),
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

  const choose = (node: NodeView, value: SlotValue): void => {
    const facts = factsOf(value.body.job);
    const slot = slotText(value);
    const known = facts.chosen.get(slot);
    if (known === undefined) {
      facts.chosen.set(slot, { record: value, at: context.now() });
      if (value.type === 'version' && value.body.version > facts.version) turn(facts, value);
      return;
    }
    if (known.record.id === value.id) return;
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
    const value = proposed.get(of);
    if (value?.type === 'config' && !isQuorum(value.body, set)) return;
    for (const [id, electors] of electorsOf(facts, epoch)) {
      if ((slot === 'admission' && of !== id) || !isQuorum(electors, set)) continue;
      const admission = facts.admissions.get(id);
      if (slot === 'admission' && admission !== undefined) admit(node, id, admission);
      if (value !== undefined) choose(node, value);
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
    factsOf(records.spec.body.job).spec ??= records.spec.body;
    seeCertified(node, records.admission);
    if (records.grant !== null) seeCertified(node, records.grant);
    for (const value of records.committed) seeCertified(node, value);
  };

  const seeMessage = (node: NodeView, message: Message): void => {
    switch (message.type) {
      case 'admit':
        factsOf(message.spec.body.job).spec ??= message.spec.body;
        return seeAdmission(message.admission);
      case 'admitted':
        return seeVote(node, message.vote);
      case 'activate':
        factsOf(message.spec.body.job).spec ??= message.spec.body;
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
      if (record.type === 'spec') factsOf(write.job).spec ??= record.body;
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
  const value = facts.chosen.get(`config/${config.major}/${config.minor}`)?.record;
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
  const { major, minor } = now.config;
  const before = facts.chosen.get(`config/${major}/${minor - 1}`)?.record;
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
