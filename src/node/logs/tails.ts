/** Where the logs of this node's executions are found, and how other peers read them. */
import { join } from 'node:path';
import type { Host } from '../../../p2p/host.ts';
import type { Config } from '../../config/schema.ts';
import { asExecutionId } from '../../core/record/ids.ts';
import type { ContentStore } from '../../lib/content.ts';
import { encodeLogLine } from './frames.ts';
import { readLogs } from './logs.ts';
import type { LogSource } from './logs.ts';
import type { Runner } from '../runner/runner.ts';

export function logSourceOf(config: Config, runner: Runner, content: ContentStore): LogSource {
  return {
    executionsDir: join(config.node.dataDir, 'executions'),
    isActive: (execution) => runner.isActive(execution),
    content,
    outputMaxBytes: config.storage.outputMaxBytes,
  };
}

/** Other peers read the logs of this node's executions through a stream of their own. */
export function answerTails(host: Host, source: LogSource): void {
  host.tail.handleTail(async function* (request, _from, signal) {
    const asked: unknown = JSON.parse(new TextDecoder().decode(request));
    const { execution, tail, follow } = asked as {
      execution: unknown;
      tail: unknown;
      follow: unknown;
    };
    if (typeof execution !== 'string' || !/^e-[0-9a-f-]{36}$/.test(execution)) {
      throw new Error('not an execution id');
    }
    const options = { tail: tail === true, follow: follow === true };
    for await (const line of readLogs(source, asExecutionId(execution), options, null, signal)) {
      yield encodeLogLine(line);
    }
  });
}
