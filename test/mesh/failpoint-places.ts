/** Every place of the peer that has a name for tests to break it at, as `TEST_FAILPOINT` names it. */

const EFFECTS = ['send', 'gossip', 'run', 'cancel-run', 'forget-run', 'replicate'];
const FILES = ['order', 'prepared', 'started', 'outcome', 'final', 'forgotten'];

const beforeAndAfter = (what: string, kinds: readonly string[]): readonly string[] =>
  kinds.flatMap((kind) => [`${what}.before ${kind}`, `${what}.after ${kind}`]);

export const FAILPOINTS: readonly string[] = [
  // The start of a peer.
  ...['lock.taken', 'key.written', 'key.linked', 'store.opened', 'host.started', 'api.listening'],
  // The group commit and what leaves after it.
  ...['commit.before', 'store.rows-written', 'store.committed', 'store.counted', 'commit.after'],
  ...['reply.before', 'reply.after', 'effects.done', 'kv.before', 'kv.after'],
  ...beforeAndAfter('effect', EFFECTS),
  // An execution and its directory.
  ...beforeAndAfter('execution-file', FILES),
  ...['file.written', 'file.synced', 'file.renamed', 'execution.reset', 'execution.cleared'],
  ...['run.staged', 'run.ended', 'result.assembled', 'result.published', 'run.told'],
  ...['container.created', 'container.started', 'container.ended', 'container.removed'],
  'wasm.spawned',
  // Content.
  ...['block.written', 'block.renamed', 'pin.before', 'pin.after'],
  ...['upload.received', 'upload.added'],
  // The end of a peer.
  ...['leave.begun', 'leave.told'],
];
