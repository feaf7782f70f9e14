/** The `job` commands: names, arguments and flags. */
import type { Command, Option } from 'commander';
import {
  integerOption,
  listOption,
  runs,
  withListOutput,
  withNamespace,
  withValueOutput,
  type Run,
} from './command.ts';

const JOB = 'id, beginning of the id, or name';
const FILE = 'YAML or JSON file; - or nothing for stdin';

const version = (what: string): Option =>
  integerOption('-v, --version <n>', `the version ${what}`, 1);

const withVersions = (command: Command): Command =>
  command
    .addOption(version('(default: the current one)'))
    .option('--all-versions', 'of all versions that are still known');

function withTemplate(command: Command): Command {
  return command
    .addOption(
      listOption(
        '-V, --template-vars <key=value>',
        'value of a template variable; may be repeated',
      ),
    )
    .option(
      '-E, --template-envs <regex>',
      'variables of this environment that the template may use',
    )
    .option('--no-template', 'take the file as it is');
}

function addRun(job: Command, run: Run): void {
  const command = withTemplate(
    job.command('run').description('submit a job and wait for it').argument('[file]', FILE),
  )
    .option('--wait', 'wait for the end', true)
    .option('--no-wait', 'do not wait for the end')
    .option('-f, --follow', "show the job's output instead of its events")
    .option('--id-only', 'print nothing but the id')
    .option('--dry-run', 'show what would be submitted, and what would change')
    .option('--force', 'a new version of a job of this name though nothing changed')
    .addOption(
      integerOption(
        '--wait-timeout <seconds>',
        'give up waiting after this time (the job goes on)',
        1,
      ),
    )
    .addOption(integerOption('--wait-timeout-secs <seconds>', 'the same', 1).hideHelp())
    .option('--download', 'fetch the results when it is done')
    .option('--output-dir <dir>', 'where --download puts them')
    .addOption(
      integerOption('--min-keepers <n>', 'refuse unless so many peers keep the job (1 to 5)', 1),
    )
    .option('--hide-warnings', 'print no warnings');
  runs(
    withValueOutput(command, ['text', 'json', 'yaml', 'name'], 'text'),
    run,
    async () => (await import('./commands/job-run.ts')).jobRun,
  );
  const diff = withTemplate(
    job
      .command('diff')
      .description('show what a new version of a job would change')
      .argument('[file]', FILE),
  ).option('--hide-warnings', 'print no warnings');
  runs(
    withValueOutput(diff, ['text', 'json', 'yaml'], 'text'),
    run,
    async () => (await import('./commands/job-diff.ts')).jobDiff,
  );
  const rerun = job
    .command('rerun')
    .description('run a job once more, as its next version, and wait for it')
    .argument('<job>', JOB)
    .addOption(version('whose spec is run (default: the current one)'))
    .option('--reason <text>', 'kept in the history')
    .option('--wait', 'wait for the end', true)
    .option('--no-wait', 'do not wait for the end')
    .option('-f, --follow', "show the job's output instead of its events")
    .option('--id-only', 'print nothing but the id')
    .addOption(
      integerOption(
        '--wait-timeout <seconds>',
        'give up waiting after this time (the job goes on)',
        1,
      ),
    );
  runs(
    withNamespace(withValueOutput(rerun, ['text', 'json', 'yaml', 'name'], 'text')),
    run,
    async () => (await import('./commands/job-rerun.ts')).jobRerun,
  );
  const validate = withTemplate(
    job
      .command('validate')
      .description(
        'check a spec without submitting it; where a peer answers, also whether any node could run it',
      )
      .argument('[file]', FILE),
  );
  runs(
    withValueOutput(validate, ['text', 'json', 'yaml'], 'text'),
    run,
    async () => (await import('./commands/job-validate.ts')).jobValidate,
  );
}

function addLists(job: Command, run: Run): void {
  addList(job.command('list').alias('ls'), run);
  const executions = job
    .command('executions')
    .alias('ps')
    .description('list the executions of a job')
    .argument('<job>', JOB)
    .addOption(integerOption('--limit <n>', 'at most this many', 1).default(20))
    .option('--order-by <field>', 'created_at or modified_at', 'created_at')
    .option('--order-reversed', 'newest first');
  runs(
    withListOutput(withNamespace(withVersions(executions)), { named: true }),
    run,
    async () => (await import('./commands/job-executions.ts')).jobExecutions,
  );
  const history = job
    .command('history')
    .description('list what happened to a job')
    .argument('<job>', JOB)
    .option('--event-type <type>', 'all, job or execution', 'all')
    .option('--execution-id <id>', 'only this execution');
  runs(
    withListOutput(withNamespace(withVersions(history)), { named: false }),
    run,
    async () => (await import('./commands/job-history.ts')).jobHistory,
  );
  const versions = job
    .command('versions')
    .description('list the versions of a job')
    .argument('<job>', JOB);
  runs(
    withListOutput(withNamespace(versions), { named: false }),
    run,
    async () => (await import('./commands/job-versions.ts')).jobVersions,
  );
}

/** `job list`, which `shoal ps` and `shoal ls` are, too. */
function addList(list: Command, run: Run): void {
  list
    .description('list jobs')
    .option('--namespace <name>', 'only this namespace; * for all', 'default')
    .option(
      '--labels <selector>',
      'only jobs with these labels, e.g. "team=a, stage in (test, live)"',
    )
    .addOption(integerOption('--limit <n>', 'at most this many', 1).default(10))
    .option('--next-token <token>', 'go on where an earlier list ended')
    .option('--order-by <field>', 'created_at or modified_at', 'created_at')
    .option('--order-reversed', 'oldest first');
  runs(
    withListOutput(list, { named: true }),
    run,
    async () => (await import('./commands/job-list.ts')).jobList,
  );
}

/** The `job` group. */
export function addJobCommands(program: Command, run: Run): void {
  const job = program.command('job').description('submit, watch and stop jobs');
  addList(program.command('ps').alias('ls'), run);
  addRun(job, run);
  addLists(job, run);
  const describe = job
    .command('describe')
    .description('show everything about a job, and why it waits')
    .argument('<job>', JOB)
    .addOption(version('(default: the current one)'));
  runs(
    withNamespace(withValueOutput(describe, ['text', 'yaml', 'json'], 'text')),
    run,
    async () => (await import('./commands/job-describe.ts')).jobDescribe,
  );
  const logs = job
    .command('logs')
    .description('print the output of a job; of several partitions each line says which')
    .argument('<job>', JOB)
    .option('-e, --execution-id <id>', 'of this execution (default: the latest of each partition)')
    .addOption(integerOption('--partition <n>', 'of this partition alone', 0))
    .option('-f, --follow', 'stay until it ends')
    .option('-t, --tail', 'from now on instead of from the beginning');
  runs(
    withNamespace(withVersions(logs)),
    run,
    async () => (await import('./commands/job-logs.ts')).jobLogs,
  );
  const stop = job
    .command('stop')
    .description('stop a job')
    .argument('<job>', JOB)
    .option('--quiet', 'print nothing')
    .option('--reason <text>', 'kept in the history');
  runs(withNamespace(stop), run, async () => (await import('./commands/job-stop.ts')).jobStop);
  const get = job
    .command('get')
    .description('fetch the results of a job')
    .argument('<job>', JOB)
    .option('--output-dir <dir>', 'where to put them (default: ./job-<id>)')
    .option('--raw', 'one directory for each result instead of merging them')
    .option('--wait', 'wait until the job is done')
    .option('--overwrite', 'replace the directory if it exists');
  runs(withNamespace(get), run, async () => (await import('./commands/job-get.ts')).jobGet);
}
