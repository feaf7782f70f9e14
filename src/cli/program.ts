/** The command tree: names, arguments, flags and help. What each command does is in `commands/`. */
import { Command } from 'commander';
import { addJobCommands } from './program-job.ts';
import {
  integerOption,
  refuseTwice,
  runs,
  withListOutput,
  withValueOutput,
  type Run,
} from './command.ts';
import { addServe } from './program-serve.ts';

function addNodeCommands(program: Command, run: Run): void {
  const node = program.command('node').description('members of the mesh');
  const list = node
    .command('list')
    .alias('ls')
    .description('list the nodes this peer knows')
    .option('--labels <selector>', 'only nodes with these labels, e.g. "region=eu, gpu"')
    .option('--filter-status <status>', 'only connected or disconnected ones')
    .option(
      '--order-by <field>',
      'id, status, available_cpu, available_memory, available_disk or available_gpu',
    )
    .option('--order-reversed', 'last first')
    .option('--show <groups>', 'columns: labels, version, features, capacity', 'labels,capacity');
  runs(
    withListOutput(list, { named: true }),
    run,
    async () => (await import('./commands/node-list.ts')).nodeList,
  );
  const describe = node
    .command('describe')
    .description('show one node')
    .argument('<node>', 'peer id, its beginning, or n-…');
  runs(
    withValueOutput(describe, ['yaml', 'json'], 'yaml'),
    run,
    async () => (await import('./commands/node-describe.ts')).nodeDescribe,
  );
  const label = node
    .command('label')
    .description(
      'set labels of the peer this command talks to, take them away, or show them; they stay over restarts',
    )
    .argument('[labels...]', 'KEY=VALUE to set one, KEY- to take it away');
  runs(label, run, async () => (await import('./commands/node-label.ts')).nodeLabel);
  const drain = node
    .command('drain')
    .description(
      'have the peer this command talks to leave: it takes nothing new, hands over what it leads, and ends when its work is done',
    )
    .addOption(
      integerOption(
        '--deadline <seconds>',
        'end what still runs after this time, so that it goes on elsewhere (default: 3600)',
        0,
      ),
    )
    .option('--detach', 'do not wait until it has left')
    .option('--off', 'take it back: the peer stays');
  runs(drain, run, async () => (await import('./commands/node-drain.ts')).nodeDrain);
}

function addContentCommands(program: Command, run: Run): void {
  const cid = program.command('cid').description('content by its CID');
  const add = cid
    .command('add')
    .description('add a file or directory to this peer and print its CID')
    .argument('<path>', 'file, directory, or - for stdin');
  runs(
    withValueOutput(add, ['text', 'json', 'yaml', 'name'], 'text'),
    run,
    async () => (await import('./commands/cid-add.ts')).cidAdd,
  );
  const get = cid
    .command('get')
    .description('fetch content through this peer')
    .argument('<cid>')
    .argument('[path]', 'where to put it (default: ./<cid>)')
    .option('--overwrite', 'replace what is there');
  runs(get, run, async () => (await import('./commands/cid-get.ts')).cidGet);
}

function addAgentCommands(program: Command, run: Run): void {
  const agent = program.command('agent').description('the peer this command talks to');
  const parts = {
    alive: 'whether it answers',
    version: 'its version',
    node: 'what it offers',
    config: 'its configuration',
  };
  for (const [name, description] of Object.entries(parts)) {
    const command = withValueOutput(
      agent.command(name).description(description),
      ['yaml', 'json'],
      'yaml',
    );
    runs(command, run, async () => {
      const { agentPart } = await import('./commands/agent.ts');
      return agentPart(name);
    });
  }
  const config = withValueOutput(
    program.command('config').description("the peer's effective configuration"),
    ['yaml', 'json'],
    'yaml',
  );
  runs(config, run, async () => (await import('./commands/agent.ts')).agentPart('config'));
}

function addOwnCommands(program: Command, run: Run): void {
  const version = program
    .command('version')
    .description('versions of this command and of the peer; `shoal --version` is this one alone')
    .option('--client', 'of this command only');
  runs(
    withListOutput(version, { named: false }),
    run,
    async () => (await import('./commands/version.ts')).version,
  );
  const doctor = program
    .command('doctor')
    .description('check the peer and say what to do; exit code 3 when there is a problem');
  runs(
    withListOutput(doctor, { named: false }),
    run,
    async () => (await import('./commands/doctor.ts')).doctor,
  );
  program
    .command('completion')
    .description('print the completion script of a shell')
    .argument('<shell>', 'bash, zsh, fish or powershell');
}

/** The whole tree, wired to one run. */
export function createProgram(run: Run): Command {
  const program = new Command('shoal');
  program
    .description('Runs compute jobs on a mesh of peers with no central server.')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void run.io.stdout.write(text),
      writeErr: (text) => void run.io.stderr.write(text),
      // The message comes as an error, and is printed where all errors are.
      outputError: () => {},
      getOutHelpWidth: () => run.io.columns(),
      getErrHelpWidth: () => run.io.columns(),
    })
    .option(
      '--api-host <host>',
      'peer to talk to: host name, address or URL (SHOAL_API_HOST; default 127.0.0.1)',
    )
    .option('--api-port <port>', 'its port (SHOAL_API_PORT; default 1234)')
    .option(
      '--api-key-file <file>',
      'file of the API key to use (SHOAL_API_KEY_FILE, SHOAL_API_KEY)',
    );
  refuseTwice(program);
  addServe(program, run);
  addJobCommands(program, run);
  addNodeCommands(program, run);
  addContentCommands(program, run);
  addAgentCommands(program, run);
  addOwnCommands(program, run);
  return program;
}
