/**
 * Real Gluster hosts on one machine, for tests: each has namespaces, a root, disks, an address and a glusterd of its own.
 *
 * A lab dies with the process that started it, even one that gets SIGKILL, and leaves nothing behind: a guard
 * (guard.sh) watches a pipe that only its owner holds. Nothing is stopped by name.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import {
  type PrivateBroker,
  type PrivateBrokerOptions,
  startPrivateBroker,
} from '../../rabbitmq/private-broker.ts';
import { identify } from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { bridgeAddress, hasBridge, makeBridge, randomMac } from './bridge.ts';
import { cleanEnvironment, succeed } from './command.ts';
import { LabHost } from './lab-host.ts';
import { claimLab, type LabState, labDir, maxHosts, readLab, writeLab } from './lab-state.ts';
import { checkGeoReplication, labRefusal } from './refusal.ts';
import { takeDown, takeDownAbandoned } from './take-down.ts';

export { LabHost } from './lab-host.ts';
export { labRefusal } from './refusal.ts';

export interface LabOptions {
  /** How many hosts, from 1 to 32. */
  hosts: number;
  /** Up to 20 of a–z and 0–9. @default a random one */
  name?: string;
  /**
   * The hosts have gsyncd and sshd, and root may log in from one to another. Without it glusterd says that geo-replication
   * is not installed, and starts in a tenth of the time. @default false
   */
  geoReplication?: boolean;
  /** For the lab's own broker, when it is started. */
  broker?: Omit<PrivateBrokerOptions, 'address'>;
}

const here = import.meta.dirname;

export class Lab implements AsyncDisposable {
  #hosts: readonly LabHost[] = [];
  #state: LabState;
  readonly #brokerOptions: LabOptions['broker'];
  #broker: Promise<PrivateBroker> | undefined;
  #guard: ChildProcess | undefined;

  constructor(state: LabState, guard?: ChildProcess, brokerOptions?: LabOptions['broker']) {
    this.#state = state;
    this.#guard = guard;
    this.#brokerOptions = brokerOptions;
    this.#hosts = Array.from({ length: state.hosts }, (_, at) => new LabHost(this, at + 1));
  }

  get state(): LabState {
    return this.#state;
  }

  get hosts(): readonly LabHost[] {
    return this.#hosts;
  }

  get name(): string {
    return this.#state.name;
  }

  /** Address of the machine itself, as its hosts see it. */
  get address(): string {
    return bridgeAddress(this.#state);
  }

  /** Host number `index`, from 1. */
  host(index: number): LabHost {
    const host = this.hosts[index - 1];
    if (host === undefined) throw new Error(`lab ${this.name} has no host ${index}`);
    return host;
  }

  /** The lab's own broker, on an address that all hosts reach; started by the first call. */
  broker(): Promise<PrivateBroker> {
    this.#broker ??= startPrivateBroker({ ...this.#brokerOptions, address: this.address });
    return this.#broker;
  }

  /** Adds hosts until there are so many; they are off. */
  grow(hosts: number): void {
    checkCount(hosts);
    if (hosts <= this.#hosts.length) return;
    this.#state = { ...this.#state, hosts };
    writeLab(this.#state);
    const added = Array.from({ length: hosts - this.#hosts.length }, (_, at) => at + this.#hosts.length + 1);
    this.#hosts = [...this.#hosts, ...added.map((index) => new LabHost(this, index))];
  }

  /** Leaves the lab without an owner: it stays until `down`. */
  async abandonOwnership(): Promise<void> {
    this.#state = { ...this.#state, owner: null };
    writeLab(this.#state);
    await this.#releaseGuard();
  }

  /** Ends the lab; once it resolves, nothing of it is left. */
  async stop(): Promise<void> {
    const broker = await this.#broker?.catch(() => undefined);
    await Promise.all([broker?.stop(), takeDown(this.name)]);
    await this.#releaseGuard();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #releaseGuard(): Promise<void> {
    const guard = this.#guard;
    this.#guard = undefined;
    if (guard === undefined || guard.exitCode !== null) return;
    const gone = once(guard, 'exit');
    guard.ref();
    guard.stdin?.end('release\n');
    await gone;
  }
}

/**
 * Starts a lab, with glusterd running on each host. What dead owners have left is taken down first.
 * @throws Error when no lab can run here, or one of that name runs already
 */
export async function startLab({ hosts, name, geoReplication = false, broker }: LabOptions): Promise<Lab> {
  const refusal = labRefusal();
  if (refusal !== undefined) throw new Error(refusal);
  checkCount(hosts);
  if (geoReplication) await checkGeoReplication();
  await takeDownAbandoned();
  const claimed: LabState = {
    name: name ?? `t${randomBytes(5).toString('hex')}`,
    owner: identify(process.pid) ?? null,
    subnet: 0,
    bridgeMac: randomMac(),
    hosts,
    geoReplication,
  };
  const guard = startGuard(claimed.name);
  if (!claimLab(claimed)) {
    guard.stdin?.end('release\n');
    throw new Error(`lab ${claimed.name} runs already: take it down first, or choose another name`);
  }
  let lab = new Lab(claimed, guard, broker);
  try {
    const [state] = await Promise.all([
      makeBridge(claimed),
      makeDevices(claimed.name),
      compileStandIns(claimed.name),
      geoReplication && makeKey(claimed.name),
    ]);
    lab = new Lab(state, guard, broker);
    await Promise.all(lab.hosts.map((host) => host.start()));
    return lab;
  } catch (error) {
    await lab.stop();
    throw error;
  }
}

/** A lab that runs, whoever started it. @throws Error when there is none of that name */
export function openLab(name: string): Lab {
  const state = readLab(name);
  if (state === undefined) throw new Error(`there is no lab ${name}: start it with up`);
  return new Lab(state);
}

/**
 * Sees to it that so many hosts of a lab without an owner are on. Works after a restart of the machine, too, where the
 * disks are all that is left.
 * @throws Error when the lab belongs to a process
 */
export async function resumeLab(name: string, hosts: number): Promise<Lab> {
  let lab = openLab(name);
  const { owner } = lab.state;
  if (owner !== null) throw new Error(`lab ${name} belongs to process ${owner.pid}: choose another name`);
  if (!(await hasBridge(lab.state))) lab = new Lab(await makeBridge(lab.state));
  lab.grow(hosts);
  await Promise.all(lab.hosts.slice(0, hosts).map((host) => host.start()));
  return lab;
}

/** Makes one pool of all hosts, and waits until each sees all others. */
export async function formPool(lab: Lab): Promise<void> {
  const [first, ...others] = lab.hosts;
  for (const { name } of others) await first?.gluster('peer', 'probe', name);
  await poolConnected(lab);
}

/** Waits until each host of the pool sees all others: after a power cut or a lost link this takes seconds. */
export async function poolConnected(lab: Lab): Promise<void> {
  await until('all hosts of the pool see each other', async (see) => {
    const lists = see(await Promise.all(lab.hosts.map((host) => host.gluster('pool', 'list'))));
    return lists.every((list) => list.split('<connected>1</connected>').length - 1 === lab.hosts.length);
  });
}

function checkCount(hosts: number): void {
  if (Number.isInteger(hosts) && hosts >= 1 && hosts <= maxHosts) return;
  throw new Error(`a lab has 1 to ${maxHosts} hosts, not ${hosts}`);
}

function startGuard(name: string): ChildProcess {
  // In a session of its own: a Ctrl-C at the owner's terminal must not end the guard before its work.
  const guard = spawn('/bin/sh', [join(here, 'guard.sh'), name, process.execPath, join(here, 'main.ts')], {
    cwd: '/',
    detached: true,
    env: { ...cleanEnvironment, TMPDIR: process.env.TMPDIR ?? '' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => {});
  guard.stdin?.on('error', () => {});
  // It keeps no owner alive that has nothing else to do.
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  return guard;
}

async function makeDevices(name: string): Promise<void> {
  const dev = join(labDir(name), 'dev');
  mkdirSync(dev);
  await succeed(['/bin/sh', join(here, 'make-devices.sh'), dev]);
}

/** By which root of one host is let into the others. */
async function makeKey(name: string): Promise<void> {
  const dir = join(labDir(name), 'ssh');
  mkdirSync(dir, { mode: 0o700 });
  await succeed(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'id_ed25519')]);
}

async function compileStandIns(name: string): Promise<void> {
  const lib = join(labDir(name), 'lib');
  mkdirSync(lib);
  const sources = ['fastsleep', 'epollfix', 'fsetattrfix'].map((source) =>
    join(here, 'stand-ins', `${source}.c`),
  );
  const library = join(lib, 'stand-ins.so');
  await succeed(['gcc', '-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, ...sources, '-ldl']);
}
