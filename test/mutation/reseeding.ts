/** Mistakes in how a job goes on without a majority of its keepers, and in which of two branches remains. */
import type { Mutations } from './mutation.ts';

export const reseeding: Mutations = {
  'src/core/record/chain.ts': [
    {
      name: 'a job is re-seeded without one that kept it',
      within: 'continues',
      text: 'witnesses(before, next).length > 0',
      instead: 'true',
      why: 'strangers take any job over',
    },
    {
      name: 'a job is re-seeded without end',
      within: 'continues',
      text: ' || generation > RESEEDS_MAX',
      instead: '',
      why: 'keepers that conspire fill every ledger',
    },
    {
      name: 'configurations that re-seed a job share a name',
      within: 'reseedId',
      text: '+ own, minor',
      instead: '+ 0 * own, minor',
      why: 'votes for one set of keepers count for another',
    },
  ],
  'src/core/record/certificate.ts': [
    {
      name: 'newcomers alone re-seed a job',
      within: 'isChosen',
      text: 'before !== null && witnesses(before, record.body).some((node) => signers.has(node))',
      instead: 'before !== null',
      why: 'a job is taken over by nodes that never kept it',
    },
    {
      name: 'who re-seeds a job gives it any name',
      within: 'validCertificate',
      text: '!isNamedRight(suite, of.body)',
      instead: 'false',
      why: 'of two sets of keepers the votes for one count for the other',
    },
  ],
  'src/core/record/verify.ts': [
    {
      name: 'any job may be re-seeded',
      within: 'isReseedable',
      text: "policy !== 'wait' && policy !== 'exclusive'",
      instead: 'policy !== null',
      why: 'two programs run at once that must not',
    },
  ],
  'src/core/record/branch.ts': [
    {
      name: 'what was decided in the other branch stays',
      within: 'isOff',
      text: 'config !== null && isPassed(chain, config)',
      instead: 'config === null',
      why: 'the ledgers of keepers differ for ever',
    },
    {
      name: 'of two branches the first decision counts',
      within: 'outranks',
      text: "a.major > b.major !== (fresh.record.type === 'close')",
      instead: "a.major < b.major !== (fresh.record.type === 'close')",
      why: 'what is decided again is refused by who knows more',
    },
  ],
  'src/core/keeping/orphans.ts': [
    {
      name: 'a job is re-seeded while its keepers are enough',
      within: 'isOrphaned',
      text: 'return !isQuorum(',
      instead: 'return null !== isQuorum(',
      why: 'a leader throws out who it does not like',
    },
    {
      name: 'a keeper votes for every set that re-seeds its job',
      within: 'wouldReseed',
      text: 'core.now - kept.boundAt < BOUND_MS',
      instead: 'core.now < kept.boundAt',
      why: 'two sets go on beside each other',
    },
    {
      name: 'a newcomer votes though it hears the keepers',
      within: 'hearsNone',
      text: 'known === store && heardWithin(core, node, reseedAfterMs)',
      instead: 'known !== store',
      why: 'who is cut off for itself takes its jobs along',
    },
    {
      name: 'a newcomer votes before it asked',
      within: 'hearsNone',
      text: 'core.now - askedAt < ANSWER_MS || ',
      instead: '',
      why: 'it never heard of keepers that are there',
    },
    {
      name: 'nobody is in touch with his own keepers',
      within: 'isIntact',
      text: 'isInTouch(core, kept)',
      instead: 'false',
      why: 'a job moves to whoever was cut off from it',
    },
    {
      name: 'a keeper that was alone all the time stays',
      within: 'isIntact',
      text: 'core.now - kept.intactSince >= core.config.limits.reseedAfterMs',
      instead: 'core.now >= kept.intactSince',
      why: 'both branches go on for ever',
    },
  ],
  'src/core/keeping/branches.ts': [
    {
      name: 'a keeper leaves those that it hears',
      within: 'stays',
      text: 'isIntact(core, kept) ||',
      instead: '',
      why: 'whoever was cut off takes the job along',
    },
    {
      name: 'one keeper is enough to yield to',
      within: 'onBranchKnown',
      text: 'if (!isQuorum(last, round.intact)) return;\n',
      instead: '',
      why: 'one that lies ends what a job has decided',
    },
    {
      name: 'old answers count in a round',
      within: 'onBranchKnown',
      text: 'turn !== round.turn',
      instead: 'turn > round.turn',
      why: 'a job yields to keepers that are gone by now',
    },
    {
      name: 'who yields keeps what was decided',
      within: 'turnTo',
      text: 'if (!here.has(key)) persist',
      instead: 'if (here.has(key)) persist',
      why: 'after a restart it is decided again',
    },
  ],
  'src/core/keeping/changing.ts': [
    {
      name: 'who yielded votes again where it was before',
      within: 'hasLeft',
      text: 'promised.config.major > currentOf(ledger).config.major',
      instead: 'promised.config.major < 0',
      why: 'it has forgotten what it had promised there',
    },
  ],
  'src/core/leading/reseeding.ts': [
    {
      name: 'the last survivor is forgotten',
      within: 'nextOf',
      text: '[...first, ...left.filter(({ node }) => node !== core.self)]',
      instead: 'first',
      why: 'what only others of them accepted is lost',
    },
    {
      name: 'who reaches nobody goes on alone',
      within: 'nextOf',
      text: 'staying.length + around.length < 2',
      instead: 'staying.length + around.length < 1',
      why: 'each node that is cut off runs all its jobs by itself',
    },
    {
      name: 'all that are left begin at once',
      within: 'lookForOrphans',
      text: 'core.now - since < waitMs + rank * RANK_STEP_MS',
      instead: 'core.now < since',
      why: 'each has its own set of keepers',
    },
  ],
  'src/core/executing/obeying.ts': [
    {
      name: 'an executor leaves a leader that answers',
      within: 'mayTurn',
      text: 'core.now - leaderHeardAt >= core.config.limits.leaseLostMs',
      instead: 'core.now >= leaderHeardAt',
      why: 'what runs well is lost to those that were cut off',
    },
    {
      name: "a keeper's node takes orders of another branch",
      within: 'mayObey',
      text: 'if (kept !== undefined && !isGuest(core, kept) && isForeign(kept, config)) return false;\n',
      instead: '',
      why: 'its promise is raised by orders, and it votes no more',
    },
  ],
  'src/core/executing/lease.ts': [
    {
      name: 'an executor goes back on the word of one',
      within: 'followBack',
      text: 'if (!isQuorum(current, left)) return;\n',
      instead: '',
      why: 'one keeper that lies moves what runs',
    },
    {
      name: 'what others assigned runs on',
      within: 'onLeads',
      text: 'isPassedOver(execution)',
      instead: 'false',
      why: 'a replica runs for ever that nobody counts',
    },
  ],
};
