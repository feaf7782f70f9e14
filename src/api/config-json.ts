/**
 * The settings of a peer: as they are, and in the tree in which Bacalhau's clients know theirs, as far as these have a
 * counterpart. Knows the names of settings, none of their defaults.
 */
import { own } from '../job/own.ts';
import { DEFAULT_TEXTS } from '../job/resources.ts';
import type { ShoalService } from './service.ts';

/** `Settings`: by path, with where each came from. */
export async function configJson(service: ShoalService): Promise<{
  readonly config: object;
  readonly Settings: Readonly<Record<string, unknown>>;
}> {
  const [Settings, self] = await Promise.all([service.config(), service.self()]);
  const of = (path: string): unknown => {
    const setting = own(Settings, path);
    const isSetting = typeof setting === 'object' && setting !== null && 'value' in setting;
    return isSetting ? setting.value : undefined;
  };
  const disabled = ['docker', 'wasm'].filter((name) => of(`engines.${name}.enabled`) === false);
  const Task = { Resources: DEFAULT_TEXTS, Publisher: {}, Timeouts: {} };
  const config = {
    API: { Host: of('api.host'), Port: of('api.port') },
    NameProvider: 'puuid',
    DataDir: of('node.dataDir'),
    Labels: self.labels,
    Logging: { Level: of('logging.level') },
    Orchestrator: { Enabled: true, Host: of('api.host') },
    Compute: {
      Enabled: true,
      AllocatedCapacity: {
        CPU: of('capacity.cpu'),
        Memory: of('capacity.memory'),
        Disk: of('capacity.disk'),
        GPU: of('capacity.gpu'),
      },
      AllowListedLocalPaths: of('policy.allowedPaths'),
      Env: { AllowList: of('policy.allowedEnv') },
      Network: {
        PortRangeStart: of('engines.docker.portFirst'),
        PortRangeEnd: of('engines.docker.portLast'),
      },
    },
    Engines: { Disabled: disabled },
    JobDefaults: { Batch: { Task }, Ops: { Task }, Service: { Task }, Daemon: { Task } },
  };
  return { config, Settings };
}
