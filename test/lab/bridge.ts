/** The network of a lab: one bridge on the machine, one cable to each host. */
import { randomBytes, randomInt } from 'node:crypto';
import { type CommandResult, runCommand, succeed } from './command.ts';
import { type LabState, writeLab } from './lab-state.ts';

interface Link {
  ifname: string;
  address: string;
}

/** An address for a new bridge: random, of the range that is free for such uses. */
export function randomMac(): string {
  return ['02', ...[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

export const bridgeOf = ({ subnet }: LabState): string => `hblab${subnet}`;
export const subnetOf = ({ subnet }: LabState): string => `10.87.${subnet}`;
/** Of the machine itself on the bridge: the broker's. */
export const bridgeAddress = (state: LabState): string => `${subnetOf(state)}.254`;
/** The machine's end of a host's cable. */
export const cableOf = (state: LabState, host: number): string => `${bridgeOf(state)}-${host}`;

/**
 * Makes a bridge with a subnet that nobody has, and returns the state with it. The kernel decides who gets a name, and so a number.
 * The state is on disk before the bridge is there: no bridge without somebody to remove it.
 */
export async function makeBridge(state: LabState): Promise<LabState> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const tried = { ...state, subnet: randomInt(1, 250) };
    if (await isInUse(subnetOf(tried))) continue;
    writeLab(tried);
    const bridge = bridgeOf(tried);
    const made = await ip('link', 'add', 'name', bridge, 'address', tried.bridgeMac, 'type', 'bridge');
    if (made.exitCode !== 0) {
      if (made.stderr.includes('File exists')) continue;
      throw new Error(`could not make the bridge ${bridge}: ${made.stderr.trim()}`);
    }
    await succeed(['ip', 'address', 'add', `${bridgeAddress(tried)}/24`, 'dev', bridge]);
    await succeed(['ip', 'link', 'set', bridge, 'up']);
    return tried;
  }
  throw new Error('no subnet 10.87.N.0/24 is free for a lab');
}

async function isInUse(subnet: string): Promise<boolean> {
  const routes = await succeed(['ip', '-4', 'route', 'show', 'table', 'all', 'root', `${subnet}.0/24`]);
  return routes.trim() !== '';
}

/** Puts the other end of a new cable into the network namespace of that process, as eth0. */
export async function connectHost(state: LabState, host: number, pid: number): Promise<void> {
  const cable = cableOf(state, host);
  await succeed([
    ...['ip', 'link', 'add', 'name', cable, 'master', bridgeOf(state), 'up'],
    ...['type', 'veth', 'peer', 'name', 'eth0', 'netns', `${pid}`],
  ]);
}

/** Removes the cable; it is no error when there is none. */
export async function disconnectHost(state: LabState, host: number): Promise<void> {
  await removeLink(cableOf(state, host));
}

/** Down: the host sees its cable pulled. */
export async function setCable(state: LabState, host: number, position: 'up' | 'down'): Promise<void> {
  await succeed(['ip', 'link', 'set', cableOf(state, host), position]);
}

export async function hasBridge(state: LabState): Promise<boolean> {
  const shown = await ip('-json', 'link', 'show', bridgeOf(state));
  if (shown.exitCode !== 0) return false;
  const [link] = JSON.parse(shown.stdout) as Link[];
  return link?.address === state.bridgeMac;
}

/** Removes the bridge and its cables, if it is this lab's. */
export async function removeBridge(state: LabState): Promise<void> {
  if (!(await hasBridge(state))) return;
  const bridge = bridgeOf(state);
  const cables = await ip('-json', 'link', 'show', 'master', bridge);
  for (const { ifname } of JSON.parse(cables.stdout || '[]') as Link[]) await removeLink(ifname);
  await removeLink(bridge);
}

/** With its namespace a cable goes by itself at any moment: gone is gone. */
async function removeLink(name: string): Promise<void> {
  const removed = await ip('link', 'delete', name);
  if (removed.exitCode === 0 || removed.stderr.includes('Cannot find device')) return;
  throw new Error(`could not remove the link ${name}: ${removed.stderr.trim()}`);
}

function ip(...args: string[]): Promise<CommandResult> {
  return runCommand(['ip', ...args]);
}
