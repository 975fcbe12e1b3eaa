/** The lab at the command line: `npm run lab -- --help`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Command } from 'commander';
import { formPool, type Lab, labRefusal, openLab, resumeLab, startLab } from './lab.ts';
import { isAbandoned, labNames, readLab } from './lab-state.ts';
import { serveLab } from './serve.ts';
import { takeDown, takeDownAbandoned } from './take-down.ts';

const program = new Command('lab')
  .description(
    'Real Gluster hosts on this machine: each with a root, disks, an address and a glusterd of its own.',
  )
  .enablePositionalOptions()
  .showHelpAfterError();

interface Named {
  name: string;
}
const define = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .option('--name <name>', 'which lab, when several run side by side', 'lab');
const hostOf = ({ name }: Named, index: string) => openLab(name).host(Number(index));
const say = (text: string) => process.stdout.write(`${text}\n`);

function show(lab: Lab): void {
  for (const host of lab.hosts) say(`${lab.name} ${host.name} ${host.address} ${host.isOn ? 'on' : 'off'}`);
}

define('up', 'start N hosts; those that run already stay as they are')
  .argument('[n]', 'how many', '3')
  .option('--pool', 'make one pool of them')
  .option('--geo-replication', 'with gsyncd and sshd (only for a new lab)')
  .action(
    async (
      n: string,
      { name, pool, geoReplication = false }: Named & { pool?: true; geoReplication?: boolean },
    ) => {
      const lab = await up(name, Number(n), geoReplication);
      if (pool) await formPool(lab);
      show(lab);
    },
  );

async function up(name: string, hosts: number, geoReplication: boolean): Promise<Lab> {
  const refusal = labRefusal();
  if (refusal !== undefined) throw new Error(refusal);
  await takeDownAbandoned();
  if (readLab(name) === undefined) {
    const lab = await startLab({ hosts, name, geoReplication });
    await lab.abandonOwnership();
    return lab;
  }
  return resumeLab(name, hosts);
}

define('exec', 'run a program on host I; ends with its exit code')
  .argument('<i>')
  .argument('<command...>')
  .passThroughOptions()
  .action(async (i: string, command: string[], options: Named) => {
    const { argv, env } = hostOf(options, i).commandLine(command);
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { env, stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number | null];
    process.exitCode = code ?? 1;
  });

define('power-cut', 'kill host I with all that runs on it; its disks stay')
  .argument('<i>')
  .option('--lose-unflushed', 'with what no program had flushed')
  .action((i: string, options: Named & { loseUnflushed?: boolean }) =>
    hostOf(options, i).powerCut({ loseUnflushed: options.loseUnflushed ?? false }),
  );

define('start', 'boot host I again')
  .argument('<i>')
  .action((i: string, options: Named) => hostOf(options, i).start());

define('unplug', 'pull the network cable of host I')
  .argument('<i>')
  .action((i: string, options: Named) => hostOf(options, i).unplug());

define('plug', 'put it back')
  .argument('<i>')
  .action((i: string, options: Named) => hostOf(options, i).plug());

define('brick', 'make /bricks/BRICK on host I and print it as Gluster names it')
  .argument('<i>')
  .argument('<brick>')
  .option('--size <mib>', 'size in MiB', '1024')
  .option('--thin', 'so that Gluster can make snapshots')
  .action(async (i: string, brick: string, options: Named & { size: string; thin?: boolean }) => {
    const { size, thin = false } = options;
    say(await hostOf(options, i).makeBrick(brick, { sizeMiB: Number(size), thin }));
  });

define('ls', 'show all labs: name, host, address, on or off').action(() => {
  for (const name of labNames()) {
    const state = readLab(name);
    if (state !== undefined && isAbandoned(state)) say(`${name} is dead: up or down removes it`);
    else if (state !== undefined) show(openLab(name));
  }
});

define('serve', 'run a broker, and a hostbusd on each host that is on, until Ctrl-C').action(
  async ({ name }: Named) => {
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
    await serveLab(openLab(name), stop.signal, say);
  },
);

define('down', 'end the lab, and remove all that it has on this machine').action(async ({ name }: Named) => {
  await takeDown(name);
  await takeDownAbandoned();
});

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
