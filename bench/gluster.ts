/**
 * What a Gluster verb costs beside the bare `gluster` program on the same host, interleaved; and how long looks take while a
 * rebalance is started, which makes a real glusterd sleep for 5 s on that host, then on its peers. `node bench/run.ts gluster [ROUNDS]`; needs what the lab needs.
 */
import { readFileSync } from 'node:fs';
import type { HostbusError } from '../schemas/errors.ts';
import { formPool, type LabHost } from '../test/lab/lab.ts';
import { type GlusterHosts, startGlusterHosts } from '../test/lib/gluster-hosts.ts';
import { until } from '../test/lib/until.ts';
import { median, row } from './round-trips.ts';

const volume = 'bench';
const pairsPerRound = 10;
const msPerTick = 10;

interface Contender {
  readonly verb: string;
  /** The same, at the command line. */
  readonly words: readonly string[];
  readonly params: Record<string, unknown>;
}

const contenders: readonly Contender[] = [
  { verb: 'listPeers', words: ['pool', 'list'], params: {} },
  { verb: 'getVolume', words: ['volume', 'info', volume], params: { volume } },
  { verb: 'getVolumeStatus', words: ['volume', 'status', volume], params: { volume } },
  {
    verb: 'setVolumeOption',
    words: ['volume', 'set', volume, 'user.bench', '1'],
    params: { volume, option: 'user.bench', value: '1' },
  },
];

export async function benchGluster(rounds: number): Promise<void> {
  await using hosts = await startGlusterHosts(3, { HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '3600' });
  const { lab } = hosts;
  await formPool(lab);
  const bricks = await Promise.all(lab.hosts.map((host) => host.makeBrick('b1')));
  await lab.host(1).gluster('volume', 'create', volume, ...bricks);
  await lab.host(1).gluster('volume', 'start', volume);
  await benchOverhead(hosts, rounds);
  await benchLooks(hosts);
}

async function benchOverhead(hosts: GlusterHosts, rounds: number): Promise<void> {
  const pairs = rounds * pairsPerRound;
  process.stdout.write(`\ngluster: verbs beside the bare program, ${pairs} pairs each, ms\n\n`);
  const head = [
    '',
    'hostbus',
    'gluster',
    'difference',
    'p90 of it',
    'CPU',
    'CPU of gluster',
    'CPU of hostbusd',
  ];
  process.stdout.write(row([(head[0] ?? '').padEnd(16), ...head.slice(1)]));
  for (const contender of contenders) {
    await measurePairs(hosts, contender, 2);
    const { ours, bare, cpu } = await measurePairs(hosts, contender, pairs);
    const differences = ours.map((ms, at) => ms - (bare[at]?.wallMs ?? 0)).sort((a, b) => a - b);
    const figures = [
      median(ours),
      median(bare.map(({ wallMs }) => wallMs)),
      median(differences),
      differences[Math.floor(differences.length * 0.9)] ?? 0,
      (cpu.own + cpu.children) / pairs,
      bare.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / pairs,
      cpu.own / pairs,
    ];
    process.stdout.write(row([contender.verb.padEnd(16), ...figures.map((figure) => figure.toFixed(1))]));
  }
}

async function measurePairs({ lab, client, daemons }: GlusterHosts, contender: Contender, pairs: number) {
  const pid = daemons[0]?.pid ?? 0;
  const ours: number[] = [];
  const bare: Bare[] = [];
  const before = cpuOf(pid);
  const call = async () => {
    const beganMs = performance.now();
    await client.host('h1').callUntyped(`gluster.${contender.verb}`, contender.params);
    ours.push(performance.now() - beganMs);
  };
  const run = async () => void bare.push(await bareRun(lab.host(1), contender.words));
  for (let pair = 0; pair < pairs; pair += 1) {
    // Who begins alternates.
    for (const each of pair % 2 === 0 ? [call, run] : [run, call]) await each();
  }
  const after = cpuOf(pid);
  return { ours, bare, cpu: { own: after.own - before.own, children: after.children - before.children } };
}

interface Bare {
  wallMs: number;
  cpuMs: number;
}

/** bash's own `time` counts the program, not what puts it into the host. */
async function bareRun(host: LabHost, words: readonly string[]): Promise<Bare> {
  const command = ['gluster', '--mode=script', '--xml', ...words].join(' ');
  const script = `TIMEFORMAT='%R %U %S'; time ${command} >/dev/null`;
  const { stderr, exitCode } = await host.exec(['bash', '-c', script]);
  if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}: ${stderr}`);
  const [wall = 0, user = 0, system = 0] = stderr.trim().split(' ').map(Number);
  return { wallMs: wall * 1000, cpuMs: (user + system) * 1000 };
}

/** Of a process, and of those that it has started and reaped. Milliseconds. */
function cpuOf(pid: number): { own: number; children: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticks = (at: number) => Number(fields[at]);
  return { own: (ticks(11) + ticks(12)) * msPerTick, children: (ticks(13) + ticks(14)) * msPerTick };
}

/** Looks on the host that starts a rebalance, and on another, for as long as that takes; a change waits in the daemon's lane meanwhile. */
async function benchLooks({ lab, client }: GlusterHosts): Promise<void> {
  for (const host of lab.hosts) await startPlainGlusterd(host);
  await until('the pool is whole, and all bricks run', async () => {
    const { peers } = await client.host('h1').call('gluster.listPeers', {});
    const { bricks } = await client.host('h1').call('gluster.getVolumeStatus', { volume });
    return (
      peers.every(({ connected }) => connected) && bricks.length === 3 && bricks.every(({ online }) => online)
    );
  });
  const beganMs = performance.now();
  let starting = true;
  const start = client
    .host('h1')
    .call('gluster.startVolumeRebalance', { volume })
    .finally(() => {
      starting = false;
    });
  const change = client
    .host('h1')
    .call('gluster.setVolumeOption', { volume, option: 'user.bench', value: '2' })
    .then(
      () => 'done',
      (error: HostbusError) => error.name,
    );
  const lookWhileStarting = async (name: string, look: () => Promise<unknown>) => {
    const ms: number[] = [];
    while (starting) {
      const lookMs = performance.now();
      await look();
      ms.push(performance.now() - lookMs);
    }
    return { name, ms: ms.sort((a, b) => a - b) };
  };
  const lookers = ['h1', 'h2'].flatMap((hostId, at) => [
    lookWhileStarting(`${hostId} listPeers`, () => client.host(hostId).call('gluster.listPeers', {})),
    lookWhileStarting(`${hostId} getVolume`, () => client.host(hostId).call('gluster.getVolume', { volume })),
    lookWhileStarting(`${hostId} gluster pool list`, () => lab.host(at + 1).gluster('pool', 'list')),
  ]);
  await start;
  const lastedS = (performance.now() - beganMs) / 1000;
  const changeEnd = await change;
  process.stdout.write(
    `\ngluster: looks while the start of a rebalance lasted ${lastedS.toFixed(1)} s on h1; a change that waited for it: ${changeEnd}\n\n`,
  );
  process.stdout.write(row([''.padEnd(24), 'looks', 'median ms', 'p99', 'longest']));
  for (const { name, ms } of await Promise.all(lookers)) {
    const p99 = ms[Math.floor(ms.length * 0.99)] ?? 0;
    const figures = [median(ms), p99, ms.at(-1) ?? 0].map((figure) => figure.toFixed(0));
    process.stdout.write(row([name.padEnd(24), String(ms.length), ...figures]));
  }
}

/** The lab's own glusterd does not sleep as long as a real one. */
async function startPlainGlusterd(host: LabHost): Promise<void> {
  await host.killGlusterd();
  await host.succeed(['glusterd', '--pid-file=/run/glusterd.pid']);
  // Finds it running.
  await host.startGlusterd();
}
