/**
 * A `Job` as Bacalhau writes it in JSON: the task inside `Tasks`, resources as text, no computed
 * members. What a server owns (ID, State, Version, Revision, times) is added by the API. Reading
 * the result back gives an equal job.
 */
import type { Job, Json, Task } from './model.ts';

export function jobToBacalhau(job: Job): { readonly [key: string]: Json } {
  return {
    Name: job.Name,
    Namespace: job.Namespace,
    Type: job.Type,
    Priority: job.Priority,
    Count: job.Count,
    Constraints: job.Constraints.map(({ Key, Operator, Values }) => ({ Key, Operator, Values })),
    Meta: { ...job.Meta },
    Labels: { ...job.Labels },
    Tasks: [taskToBacalhau(job.Task)],
  };
}

function taskToBacalhau(task: Task): Json {
  const { CPU, Memory, Disk, GPU } = task.ResourcesConfig;
  const { Type, Domains, Ports } = task.Network;
  return {
    Name: task.Name,
    Engine: { Type: task.Engine.Type, Params: task.Engine.Params },
    Publisher: { Type: task.Publisher.Type, Params: task.Publisher.Params },
    Env: { ...task.Env },
    Meta: { ...task.Meta },
    InputSources: task.InputSources.map(({ Source, Alias, Target }) => ({
      Source: { Type: Source.Type, Params: Source.Params },
      Alias,
      Target,
    })),
    ResultPaths: task.ResultPaths.map(({ Name, Path }) => ({ Name, Path })),
    Resources: { CPU, Memory, Disk, GPU },
    Network: {
      Type,
      Domains,
      Ports: Ports.map(({ Name, Static, Target, HostNetwork }) => ({
        Name,
        Static,
        Target,
        HostNetwork,
      })),
    },
    Timeouts: { ...task.Timeouts },
  };
}
