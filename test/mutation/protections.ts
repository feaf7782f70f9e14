/** Mistakes in what keeps one member from costing the others more than they can bear. */
import type { Mutations } from './mutation.ts';

export const protections: Mutations = {
  'src/core/mesh/allowance.ts': [
    {
      name: 'an asker has no allowance',
      within: 'allow',
      text: 'left < 0',
      instead: 'false',
      why: 'one member keeps a node busy with answers',
    },
  ],
  'src/core/mesh/welcome.ts': [
    {
      name: 'whom a node has sent away it takes for a keeper like others',
      within: 'noteSentAway',
      text: 'remember(unanswered, node, { at: core.now, wasThere: true }, KEYS_MAX);',
      instead: '',
      why: 'a handful of hostile members keep jobs from being admitted',
    },
    {
      name: 'one peer brings any number of admissions',
      within: 'welcomeAdmission',
      text: "many ? 'later' : 'good'",
      instead: "'good'",
      why: 'the books of keepers are filled by one',
    },
    {
      name: 'one owner fills the books of a keeper',
      within: 'welcomeAdmission',
      text: "    return 'full';",
      instead: "    return 'good';",
      why: 'nobody else gets a job admitted',
    },
    {
      name: 'a stranger has a whole node held',
      within: 'roomFor',
      text: "if (standing !== 'proven')",
      instead: 'if (false)',
      why: 'nodes are kept busy by jobs that never come',
    },
    {
      name: 'wasted holds are forgiven',
      within: 'holdUnused',
      text: 'core.now - hold.firstAt < IN_VAIN_MS',
      instead: 'true',
      why: 'nodes are kept busy by jobs that never come',
    },
    {
      name: 'one owner has everything held while others wait',
      within: 'roomFor',
      text: 'if (othersWait(claims, asker.owner))',
      instead: 'if (false)',
      why: 'the jobs of others do not run',
    },
    {
      name: 'a neighbour may bring any number of adverts',
      within: 'welcomeAdvert',
      text: 'if (counted.count >= ADVERTS_MAX) return false;',
      instead: '',
      why: 'a node does nothing but verify what one member makes up',
    },
    {
      name: 'a node that fails everything gets everything',
      within: 'onProbation',
      text: '> FAILURES_FORGIVEN',
      instead: '> Infinity',
      why: 'one broken node eats the tries of all jobs',
    },
    {
      name: 'any number of bytes is copied for one owner',
      within: 'welcomeCopy',
      text: 'if (!copied.take(owner, bytes, COPIED_PER_OWNER_MAX, core.now)) return false;',
      instead: '',
      why: 'disks are filled by results that nobody wants',
    },
  ],
  'src/core/placing/bids.ts': [
    {
      name: 'a bid counts for more than its node advertises',
      within: 'soundBid',
      text: 'least(message.capacity, told)',
      instead: 'message.capacity',
      why: 'whoever lies most gets the work',
    },
    {
      name: 'a bid may be for any number of executions',
      within: 'soundBid',
      text: ': BID_EXECUTIONS_MAX,\n    Count,',
      instead: ': Infinity,\n    Infinity,',
      why: 'one node takes a whole job and does nothing',
    },
    {
      name: 'a bid counts for more free than an idle node has',
      within: 'soundBid',
      text: 'least(message.free, minus(capacity, Task.resources))',
      instead: 'message.free',
      why: 'whoever lies most gets the work',
    },
  ],
  'src/core/placing/announcements.ts': [
    {
      name: 'resources are held for who does not prove that he leads',
      within: 'onAnnouncement',
      text: 'checkProof(core, told, spec)',
      instead: "('good' as Verdict)",
      why: 'nodes are kept busy by jobs that do not exist',
    },
  ],
  'src/core/executing/copier.ts': [
    {
      name: 'results are copied for who does not lead',
      within: 'checkCopy',
      text: "if (led !== 'good') return led;",
      instead: '',
      why: 'anybody has anything copied',
    },
    {
      name: 'a copy may be of any size',
      within: 'copy',
      text: 'Math.ceil(bytes * TREE_SHARE) + TREE_BYTES',
      instead: 'Infinity',
      why: 'a small signed result fills a disk',
    },
  ],
  'src/core/asking/lookup.ts': [
    {
      name: 'what is found is not verified',
      within: 'takeJob',
      text: 'verified(core, from, answer.records)',
      instead: 'answer.records',
      why: 'a client is shown what one member made up',
    },
    {
      name: 'an answer of a node that was not asked is taken',
      within: 'onFound',
      text: 'lookup === undefined || open === 0',
      instead: 'lookup === undefined',
      why: 'anybody answers for everybody',
    },
  ],
  'src/core/asking/lists.ts': [
    {
      name: 'the spec of a list is not verified',
      within: 'takeSpecs',
      text: 'checkSpec(core.suite, spec, 0)',
      instead: "('good' as ReturnType<typeof checkSpec>)",
      why: 'lists show jobs that do not exist',
    },
  ],
  'src/core/asking/foreign.ts': [
    {
      name: 'a foreign job may hold values that were not chosen',
      within: 'believed',
      text: "const verdict = checkCommitted(suite, chain, value);\n    if (verdict !== 'good')",
      instead:
        "const verdict = checkCommitted(suite, chain, value);\n    if (verdict !== 'good' && false)",
      why: 'a client is shown an end that is none',
    },
  ],
  'src/core/node/containment.ts': [
    {
      name: 'a job that was dropped is not read again',
      within: 'dropJob',
      text: "core.out.push({ type: 'reload', job });",
      instead: '',
      why: 'one defect loses a job until the next start',
    },
    {
      name: 'a job that always fails is tried for ever',
      within: 'dropJob',
      text: 'strikes >= STRIKES_MAX',
      instead: 'false',
      why: 'one job keeps a node busy',
    },
    {
      name: 'others set a job aside by what they send',
      within: 'dropJob',
      text: '(step.foreign ? 0 : 1)',
      instead: '1',
      why: 'two bad messages end the keeping of a job',
    },
    {
      name: 'what failed half-way leaves its effects behind',
      within: 'contain',
      text: 'undo(core, out, writes, inbox);',
      instead: '',
      why: 'half of a step is on disk and on the wire',
    },
  ],
  'src/core/placing/bidder.ts': [
    {
      name: 'a node with room again offers it by age alone',
      within: 'byPriority',
      text: '.sort((first, second) => priorityOf(second) - priorityOf(first))',
      instead: '',
      why: 'urgent work waits behind the rest',
    },
  ],
  'src/core/mesh/members.ts': [
    {
      name: 'made-up members count without end',
      within: 'memberCount',
      text: 'Math.min(known.members.length, PER_CONNECTION * (core.mesh.connected.size + 1))',
      instead: 'known.members.length',
      why: 'honest nodes believe that they need not bid',
    },
    {
      name: 'an old advert replaces a newer one',
      within: 'takeAdvert',
      text: 'known.advert.body.sequence >= sequence',
      instead: 'false',
      why: 'a node that left is brought back',
    },
  ],
  'p2p/wire/common-shapes.ts': [
    {
      name: 'an epoch may have any number on the wire',
      within: 'epoch',
      text: 'integer(0, EPOCH_NUMBER_MAX)',
      instead: 'integer(0, Number.MAX_SAFE_INTEGER)',
      why: 'one message uses the numbers up',
    },
    {
      name: 'resources may be any number on the wire',
      within: 'resources',
      text: 'integer(0, CPU_MAX * 1_000)',
      instead: 'integer(0, Number.MAX_SAFE_INTEGER)',
      why: 'sums are not exact, and cannot be signed',
    },
  ],
};
