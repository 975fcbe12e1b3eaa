/**
 * Real Gluster hosts on one machine, for tests: each has namespaces, a root, disks, an address and a glusterd of its own.
 *
 * A lab dies with the process that started it, even one that gets SIGKILL, and leaves nothing behind: a guard
 * (guard.sh) watches a pipe that only its owner holds. Nothing is stopped by name.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import {
  type PrivateBroker,
  type PrivateBrokerOptions,
  startPrivateBroker,
} from '../../rabbitmq/private-broker.ts';
import { identify } from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { bridgeAddress, makeBridge, randomMac } from './bridge.ts';
import { cleanEnvironment, succeed } from './command.ts';
import { LabHost } from './lab-host.ts';
import {
  claimLab,
  type LabState,
  labDir,
  livingProcess,
  maxHosts,
  readLab,
  readText,
  writeLab,
} from './lab-state.ts';
import { labRefusal } from './refusal.ts';
import { takeDown, takeDownAbandoned } from './take-down.ts';

export { LabHost } from './lab-host.ts';
export { labRefusal } from './refusal.ts';

export interface LabOptions {
  /** How many hosts, from 1 to 32. */
  hosts: number;
  /** Up to 20 of a–z and 0–9. @default a random one */
  name?: string;
  /** For the lab's own broker, when it is started. */
  broker?: Omit<PrivateBrokerOptions, 'address'>;
}

const poolSizeBytes = 64 * 1024 ** 3;
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
    if (hosts > maxHosts) throw new Error(`a lab has 1 to ${maxHosts} hosts, not ${hosts}`);
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
export async function startLab({ hosts, name, broker }: LabOptions): Promise<Lab> {
  const refusal = labRefusal();
  if (refusal !== undefined) throw new Error(refusal);
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > maxHosts) {
    throw new Error(`a lab has 1 to ${maxHosts} hosts, not ${hosts}`);
  }
  await takeDownAbandoned();
  const claimed: LabState = {
    name: name ?? `t${randomBytes(5).toString('hex')}`,
    owner: identify(process.pid) ?? null,
    subnet: 0,
    bridgeMac: randomMac(),
    hosts,
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
      makePool(claimed.name),
      compileStandIns(claimed.name),
    ]);
    lab = new Lab(state, guard, broker);
    await startKeeper(state.name);
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

/** Makes one pool of all hosts, and waits until each sees all others. */
export async function formPool(lab: Lab): Promise<void> {
  const [first, ...others] = lab.hosts;
  for (const { name } of others) await first?.gluster('peer', 'probe', name);
  await until('all hosts of the pool see each other', async () => {
    const lists = await Promise.all(lab.hosts.map((host) => host.gluster('pool', 'list')));
    return lists.every((list) => list.split('<connected>1</connected>').length - 1 === lab.hosts.length);
  });
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

async function makePool(name: string): Promise<void> {
  const image = join(labDir(name), 'pool.img');
  writeFileSync(image, '', { mode: 0o600 });
  truncateSync(image, poolSizeBytes);
  await succeed(['mkfs.xfs', '-q', '-K', '-m', 'reflink=1', image]);
}

async function compileStandIns(name: string): Promise<void> {
  const lib = join(labDir(name), 'lib');
  mkdirSync(lib);
  const compile = (source: string) => {
    const files = ['-o', join(lib, `${source}.so`), join(here, 'stand-ins', `${source}.c`)];
    return succeed(['gcc', '-shared', '-fPIC', '-O2', '-Wall', '-Werror', ...files, '-ldl']);
  };
  await Promise.all(['fastsleep', 'epollfix'].map(compile));
}

async function startKeeper(name: string): Promise<void> {
  const dir = labDir(name);
  const log = openSync(join(dir, 'keeper.log'), 'a');
  const child = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--', '/bin/sh', join(here, 'keeper.sh'), dir],
    { cwd: '/', detached: true, env: cleanEnvironment, stdio: ['pipe', log, log] },
  );
  closeSync(log);
  child.stdin?.on('error', () => {});
  child.unref();
  const failure = new Promise<never>((_, reject) => {
    child.on('error', reject);
    child.on('exit', () => {
      reject(new Error(`the lab's keeper ended: ${readText(join(dir, 'keeper.log'))?.trim()}`));
    });
  });
  failure.catch(() => {});
  const started = until('the keeper has started', () => livingProcess(join(dir, 'keeper')));
  await Promise.race([failure, started]);
  child.stdin?.end('go\n');
  const ready = until('the pool is mounted', () => readText(join(dir, 'keeper-ready')) !== undefined);
  await Promise.race([failure, ready]);
}
