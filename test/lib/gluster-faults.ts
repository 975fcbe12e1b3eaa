/** What can go wrong around a Gluster command, done to real processes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  identify,
  isAlive,
  type ProcessIdentity,
  signalProcess,
  withDescendants,
} from '../../rabbitmq/process-identity.ts';
import type { LabHost } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';

/** glusterd of a host hangs while `work` lasts: its connections stay, and it answers nobody. */
export async function whileHung<T>(host: LabHost, work: () => Promise<T>): Promise<T> {
  const [glusterd] = host.processes('glusterd');
  assert.ok(glusterd, `${host.name} has no glusterd`);
  signalProcess(glusterd, 'SIGSTOP');
  try {
    return await work();
  } finally {
    signalProcess(glusterd, 'SIGCONT');
  }
}

const glusterdPort = ':5DC7';
const established = '01';
/** More than a ping of a peer (about 100 bytes), less than any request for a lock (over 300). */
const leastRequestBytes = 200;

/** Whether glusterd of `by` waits for that of a host, which hangs: then a transaction has begun. The host's own bricks ask it things, too. */
export function isAsked(host: LabHost, by: LabHost): boolean {
  const [glusterd] = host.processes('glusterd');
  if (glusterd === undefined) return false;
  const sockets = readFileSync(`/proc/${glusterd.pid}/net/tcp`, 'utf8').trim().split('\n').slice(1);
  return sockets.some((line) => {
    const [, local = '', remote = '', state, queues = ''] = line.trim().split(/\s+/);
    if (!local.endsWith(glusterdPort) || !remote.startsWith(`${inProc(by.address)}:`)) return false;
    const unreadBytes = Number.parseInt(queues.split(':')[1] ?? '', 16);
    return state === established && unreadBytes > leastRequestBytes;
  });
}

/** An IPv4 address as /proc/net/tcp writes it on a little-endian machine. */
function inProc(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return bytes.reverse().join('').toUpperCase();
}

/** What a daemon has started and not yet reaped: zombies, too. */
export function childrenOf(daemon: LabDaemon): ProcessIdentity[] {
  const identity = identify(daemon.pid);
  return identity === undefined ? [] : withDescendants(identity).slice(1);
}

/** The `gluster` process that a daemon runs with these words on its command line; what is to become one, with util-linux, is none yet. */
export function commandOf(daemon: LabDaemon, words: string): ProcessIdentity | undefined {
  return childrenOf(daemon).find((child) => {
    const argv = argvOf(child);
    return argv[0]?.endsWith('gluster') === true && argv.join(' ').includes(words) && isAlive(child);
  });
}

function argvOf({ pid }: ProcessIdentity): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It is gone.
    return [];
  }
}
