/** Mistakes in who keeps a job from one change of its keepers to the next. */
import type { Mutations } from './mutation.ts';

export const keepers: Mutations = {
  'src/core/keeping/gone.ts': [
    {
      name: 'a keeper is given up after a moment of silence',
      within: 'goneBecause',
      text: "core.now - watch.since >= awayMs ? 'away' : null",
      instead: "'away'",
      why: 'every restart of a peer moves all of its jobs',
    },
    {
      name: 'a keeper whose store was lost stays one',
      within: 'goneBecause',
      text: 'member.advert.body.store !== store',
      instead: 'false',
      why: 'it never votes again, and nobody takes its place',
    },
    {
      name: 'a keeper that leaves is believed at once',
      within: 'goneBecause',
      text: 'core.now - shutSince >= awayMs',
      instead: 'true',
      why: 'a disk that is full for a second moves all jobs of its peer',
    },
  ],
  'src/core/keeping/changing.ts': [
    {
      name: 'a keeper votes away whom it hears',
      within: 'wouldLose',
      text: 'return gone.every((why) => why !== null);',
      instead: 'return true;',
      why: 'one hostile leader throws healthy keepers out',
    },
    {
      name: 'a keeper votes for whoever is named',
      within: 'wouldVote',
      text: '.every((comer) => mayCome(core, comer))',
      instead: '.every(() => true)',
      why: 'the votes of nodes that are not there are needed from then on',
    },
    {
      name: 'a keeper votes for an even number',
      within: 'wouldLose',
      text: '!isSensible(before, next, comers.length, goers.length) || ',
      instead: '',
      why: 'a job hangs on more nodes than before',
    },
  ],
  'src/core/keeping/joining.ts': [
    {
      name: 'anybody asks for keepers',
      within: 'onChange',
      text: '!isKeeper(current, from)',
      instead: 'false',
      why: 'strangers make keepers agree to changes',
    },
    {
      name: 'a node joins a job that does not name it',
      within: 'onJoin',
      text: '!hasVote({ ...next.body, former: [] }, core.self, core.config.store)',
      instead: 'false',
      why: 'its memory fills with jobs of others',
    },
  ],
  'src/core/keeping/guests.ts': [
    {
      name: 'who was a keeper is never told',
      within: 'tellChanges',
      text: 'configs.length === 0 ||',
      instead: 'configs.length >= 0 ||',
      why: 'it goes on as if it still were one',
    },
    {
      name: 'whoever was asked to keep a job remembers it for ever',
      within: 'tickGuests',
      text: 'idleMs >= 2 * GUEST_MS',
      instead: 'false',
      why: 'its memory fills with jobs of others',
    },
  ],
  'src/core/leading/succession.ts': [
    {
      name: 'a small set never grows',
      within: 'changed',
      text: 'keeperCount(keepers.length + settled.length, keepersMax) <= keepers.length',
      instead: 'true',
      why: 'a job that was submitted to a peer alone is lost with it',
    },
    {
      name: 'two keepers are as good as one',
      within: 'changed',
      text: '...bestOf(core, kept, settled, keepers, 2)',
      instead: '...bestOf(core, kept, settled, keepers, 1)',
      why: 'both must answer, which is worse than one',
    },
  ],
};
