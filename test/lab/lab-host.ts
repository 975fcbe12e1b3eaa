/** One host of a lab: boots, runs programs, loses its power or its network. */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PrivateBroker } from '../../rabbitmq/private-broker.ts';
import {
  isAlive,
  type ProcessIdentity,
  signalProcess,
  withDescendants,
} from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { connectHost, setCable, subnetOf } from './bridge.ts';
import { type CommandOptions, type CommandResult, cleanEnvironment, runCommand, succeed } from './command.ts';
import { type LabDaemon, startLabDaemon } from './lab-daemon.ts';
import { diskOf, findInit, hostDir, type LabState, labDir, maxHosts, readText } from './lab-state.ts';
import { cutPower, killAndLose } from './take-down.ts';

export interface BrickOptions {
  /** Of the file system; XFS wants 300 at least. @default 1024 */
  sizeMiB?: number;
  /** On a thin logical volume, so that Gluster can make snapshots. @default false */
  thin?: boolean;
}

export interface PowerCutOptions {
  /** What was written since the last flush (fsync, sync) is lost, but for what the kernel happened to write. @default false */
  loseUnflushed?: boolean;
}

export interface DaemonOptions {
  /** @default the host's name */
  hostId?: string;
  /** @default the lab's own broker, which is started if need be */
  brokerUrl?: string;
  /** Keys of the configuration. Everybody has access level admin unless they say otherwise. */
  env?: Record<string, string>;
}

/** What a host needs to know of its lab. */
export interface LabOfHost {
  readonly state: LabState;
  broker(): Promise<PrivateBroker>;
}

const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const hostInit = join(checkout, 'test/lab/host-init.sh');
const diskSizeBytes = 64 * 1024 ** 3;

export class LabHost {
  /** From 1. */
  readonly index: number;
  /** `h1`: resolves on all hosts of the lab. */
  readonly name: string;
  readonly #lab: LabOfHost;

  constructor(lab: LabOfHost, index: number) {
    this.#lab = lab;
    this.index = index;
    this.name = `h${index}`;
  }

  get address(): string {
    return `${subnetOf(this.#lab.state)}.${this.index}`;
  }

  get isOn(): boolean {
    return this.#findInit() !== undefined;
  }

  /** Boots the host with the disks of its last life, its bricks mounted and glusterd running. One that is on stays as it is. */
  async start(): Promise<void> {
    if (this.isOn) return;
    await this.#boot();
    await this.startGlusterd();
  }

  /** The host is dead at once, with all that runs on it. Its disk stays, as it is or without what no program had flushed. */
  async powerCut({ loseUnflushed = false }: PowerCutOptions = {}): Promise<void> {
    const init = this.#findInit();
    if (loseUnflushed && init !== undefined) await killAndLose(init);
    await cutPower(this.#lab.state, this.index);
  }

  /** Pulls the network cable. */
  async unplug(): Promise<void> {
    await setCable(this.#lab.state, this.index, 'down');
  }

  async plug(): Promise<void> {
    await setCable(this.#lab.state, this.index, 'up');
  }

  /**
   * Runs a program on the host, never through a shell, and waits for its end.
   * @throws Error when the host is off, or the program had to be killed because its time was over
   */
  async exec(argv: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return runCommand([...this.#enter(), ...argv], { ...options, name: `${this.name}: ${argv.join(' ')}` });
  }

  /** What to spawn for a program on the host, for who wants its streams. It is killed with the process that this starts. */
  commandLine(argv: readonly string[]): { argv: string[]; env: Record<string, string> } {
    return { argv: [...this.#enter(), ...argv], env: cleanEnvironment };
  }

  /** The same as exec; its standard output. @throws Error with its words when it ends with an exit code other than 0 */
  async succeed(argv: readonly string[], options?: CommandOptions): Promise<string> {
    const { exitCode, stdout, stderr } = await this.exec(argv, options);
    if (exitCode === 0) return stdout;
    const words = stderr.trim() || stdout.trim() || 'without a word';
    throw new Error(`${this.name}: ${argv.join(' ')} ended with ${exitCode}: ${words}`);
  }

  /** `gluster --mode=script --xml ARGS`; its XML. @throws Error with Gluster's words unless opRet is 0 */
  async gluster(...args: string[]): Promise<string> {
    const { stdout, stderr } = await this.exec(['gluster', '--mode=script', '--xml', ...args], {
      timeoutMs: 150_000,
    });
    if (stdout.includes('<opRet>0</opRet>')) return stdout;
    const words = /<opErrstr>(.+?)<\/opErrstr>/s.exec(stdout)?.[1] ?? (stderr.trim() || stdout.trim());
    throw new Error(`${this.name}: gluster ${args.join(' ')}: ${words}`);
  }

  /** Makes `/bricks/NAME`, mounted now and at each boot, and returns its brick as Gluster names it: `h1:/bricks/NAME/brick`. */
  async makeBrick(name: string, { sizeMiB = 1024, thin = false }: BrickOptions = {}): Promise<string> {
    const image = `/var/lib/hostbus-lab/disks/${name}.img`;
    if (thin) await this.succeed(['lab-lv', 'create', name, `${sizeMiB}`]);
    else await this.succeed(['truncate', '--size', `${sizeMiB}M`, image]);
    const device = thin ? `/dev/lab/${name}` : image;
    await this.succeed(['mkfs.xfs', '-q', '-K', '-i', 'size=512', device]);
    await this.succeed(['mkdir', '-p', `/bricks/${name}`]);
    const line = `${device} /bricks/${name} xfs ${thin ? 'noatime' : 'loop,noatime'} 0 0\n`;
    await this.succeed(['tee', '-a', '/etc/fstab'], { input: line });
    await this.succeed(['mount', `/bricks/${name}`]);
    await this.succeed(['mkdir', `/bricks/${name}/brick`]);
    // A power cut may lose what is not flushed.
    await this.succeed(['sync', '-f', '/etc/fstab', `/bricks/${name}`]);
    return `${this.name}:/bricks/${name}/brick`;
  }

  /** Processes of the host by the name of their program: `glusterd`, `glusterfsd` (bricks), `glusterfs`. PIDs as seen from outside. */
  processes(program: string): ProcessIdentity[] {
    const init = this.#findInit();
    if (init === undefined) return [];
    return withDescendants(init).filter(({ pid }) => readComm(pid) === program);
  }

  /** SIGKILL; bricks and clients live on. */
  async killGlusterd(): Promise<void> {
    const found = this.processes('glusterd');
    for (const each of found) signalProcess(each, 'SIGKILL');
    await until(`glusterd of ${this.name} is gone`, () => !found.some(isAlive));
  }

  /** Starts glusterd unless it runs, and waits until it answers. */
  async startGlusterd(): Promise<void> {
    if (this.processes('glusterd').length === 0) {
      await this.succeed(['glusterd', '--pid-file=/run/glusterd.pid'], {
        env: {
          LD_PRELOAD: '/var/lib/hostbus-lab/lib/stand-ins.so',
          HOSTBUS_LAB_SLEEP_MS: '500',
        },
      });
    }
    await until(`glusterd of ${this.name} answers`, async (see) => {
      const { stdout } = see(await this.exec(['gluster', '--mode=script', '--xml', 'peer', 'status']));
      return stdout.includes('<opRet>0</opRet>');
    });
  }

  /** Starts hostbusd on the host, and waits until it is connected to the broker. */
  async startDaemon(options: DaemonOptions = {}): Promise<LabDaemon> {
    const { hostId = this.name } = options;
    // Off loopback it would serve nobody by default.
    const env = { HOSTBUS_ACCESS_ANONYMOUS: 'admin', ...options.env };
    const brokerUrl = options.brokerUrl ?? (await this.#lab.broker()).url;
    return startLabDaemon({ hostId, brokerUrl, env, enter: this.#enter(), checkout });
  }

  get #dir(): string {
    return hostDir(this.#lab.state.name, this.index);
  }

  #findInit(): ProcessIdentity | undefined {
    return findInit(this.#lab.state.name, this.index);
  }

  /** The start of a command line that puts the rest into the host; it dies with the process that it is waited for by. */
  #enter(): string[] {
    const init = this.#findInit();
    if (init === undefined) throw new Error(`${this.name} is off`);
    const namespaces = ['--net', '--mount', '--uts', '--pid', '--ipc'];
    return [
      ...['nsenter', '--target', `${init.pid}`, ...namespaces, '--'],
      ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ];
  }

  async #boot(): Promise<void> {
    const { state } = this.#lab;
    mkdirSync(this.#dir, { recursive: true });
    await makeDisk(diskOf(state.name, this.index));
    // Of its last life, which may have ended without powerCut.
    await cutPower(state, this.index);
    for (const name of ['init', 'boot']) rmSync(join(this.#dir, name), { force: true });
    const child = this.#spawnInit();
    const failure = new Promise<never>((_, reject) => {
      child.on('error', reject);
      child.on('exit', () => reject(this.#bootFailure()));
    });
    failure.catch(() => {});
    const init = await Promise.race([failure, until(`PID 1 of ${this.name}`, () => this.#findInit())]);
    await connectHost(state, this.index, init.pid);
    child.stdin?.end('go\n');
    const ready = until(`${this.name} has booted`, () => readText(join(this.#dir, 'boot')) === 'ready\n');
    await Promise.race([failure, ready]);
  }

  #spawnInit() {
    const { state } = this.#lab;
    const log = openSync(join(this.#dir, 'log'), 'a');
    const namespaces = ['--net', '--mount', '--uts', '--ipc', '--pid', '--fork'];
    const child = spawn('unshare', [...namespaces, '--', '/bin/sh', hostInit], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', log, log],
      env: {
        ...cleanEnvironment,
        LAB_DIR: labDir(state.name),
        LAB_HOST: `${this.index}`,
        LAB_HOSTS: `${maxHosts}`,
        LAB_SUBNET: subnetOf(state),
        LAB_GEO_REPLICATION: state.geoReplication ? 'yes' : 'no',
        LAB_CHECKOUT: checkout,
        LAB_SHARED: sharedDirectories().join(':'),
      },
    });
    closeSync(log);
    child.stdin?.on('error', () => {});
    child.unref();
    return child;
  }

  #bootFailure(): Error {
    const log = readText(join(this.#dir, 'log')) ?? '';
    return new Error(`${this.name} did not boot: ${log.trim().split('\n').slice(-5).join('\n')}`);
  }
}

/** Of a size that nobody fills: the file is sparse. Left alone when it is there, and complete from the first moment. */
async function makeDisk(image: string): Promise<void> {
  if (existsSync(image)) return;
  writeFileSync(`${image}.new`, '', { mode: 0o600 });
  truncateSync(`${image}.new`, diskSizeBytes);
  await succeed(['mkfs.xfs', '-q', '-K', '-m', 'reflink=1', `${image}.new`]);
  renameSync(`${image}.new`, image);
}

/** The checkout, its packages and node, wherever they are, but what is below /usr: each host has that anyway. */
function sharedDirectories(): string[] {
  const wanted = [
    checkout,
    realpathSync(join(checkout, 'node_modules')),
    dirname(realpathSync(process.execPath)),
  ];
  return wanted.filter(
    (path, at) =>
      !path.startsWith('/usr/') &&
      !wanted.some((other, otherAt) => path.startsWith(`${other}/`) || (path === other && otherAt < at)),
  );
}

function readComm(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    // It is gone.
    return undefined;
  }
}
