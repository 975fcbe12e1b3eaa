/** The verbs of `schemas/gluster-geo-replication-hosts.ts`. */
import { mkdir, readFile } from 'node:fs/promises';
import type { geoReplicationHostVerbs } from '../../schemas/gluster-geo-replication-hosts.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { mountByTable } from '../programs/block-devices.ts';
import type { ImplementationsOf, TaskContext } from '../tasks/task-context.ts';
import { addAuthorizedKeys } from './authorized-keys.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { addToFstab, findFstabEntry, fstabPath } from './fstab.ts';
import { setUpMountBroker } from './mount-broker.ts';
import { systemdRuns } from './services.ts';
import { asTool, hostRefusal, runTool } from './tools.ts';

const metaVolume = 'gluster_shared_storage';
const metaPath = '/run/gluster/shared_storage';
const mountTimeoutMs = 120_000;
/** gluster-mountbroker asks all hosts of the pool. */
const brokerPatience = 2.5;

/** @param directory - glusterd's `geo-replication` */
export function geoReplicationHostImplementations(
  commands: GlusterCommands,
  directory: string,
): ImplementationsOf<typeof geoReplicationHostVerbs> {
  return {
    'gluster.getGeoReplicationKeys': async (_params, { log }) => {
      // Makes what is missing on each host, then one file of all.
      await commands.run(['system::', 'execute', 'gsec_create'], { log, plain: true }, () => undefined);
      return { keys: await readKeys(`${directory}/common_secret.pem.pub`) };
    },
    'gluster.updateGeoReplicationKeys': async ({ keys, user = 'root' }, { log }) => ({
      added: await addAuthorizedKeys(user, keys, log),
    }),
    'gluster.setUpMountBroker': async (params, { log }) => ({
      hosts: await setUpMountBroker(params, commands.limitMs(brokerPatience), log),
    }),
    'gluster.mountMetaVolume': (_params, task) => mountMetaVolume(commands, task),
  };
}

async function readKeys(path: string): Promise<string[]> {
  try {
    const text = await readFile(path, 'utf8');
    return text.split('\n').filter((line) => line.trim() !== '');
  } catch (error) {
    const message = `Gluster has made its keys, but ${path} cannot be read (${errnoCode(error)})`;
    throw hostRefusal('GlusterError', message, error);
  }
}

/** Cut short after the entry in fstab was made, a second call, or the next boot, goes on from there. */
async function mountMetaVolume(
  commands: GlusterCommands,
  task: CommandOptions,
): Promise<{ path: string; mounted: boolean }> {
  if (await isMounted()) return { path: metaPath, mounted: false };
  await commands.run(['volume', 'info', metaVolume], task, () => undefined);
  const { log } = task;
  return asTool('mount', async () => {
    // Gluster's own hook for the option cluster.enable-shared-storage writes the older path.
    const entry = (await findFstabEntry(metaPath)) ?? (await findFstabEntry(`/var${metaPath}`));
    if (entry !== undefined && !entry.source.endsWith(`:/${metaVolume}`)) {
      const message = `${fstabPath} mounts ${entry.source} on ${metaPath}: take that entry out`;
      throw hostRefusal('GlusterError', message);
    }
    if (entry === undefined) {
      await addToFstab(`localhost:/${metaVolume} ${metaPath} glusterfs defaults,_netdev,nofail 0 0`);
    }
    await mkdir(metaPath, { recursive: true });
    await mount(entry?.mountPoint ?? metaPath, log);
    // mount.glusterfs does not tell of all its failures.
    if (await isMounted()) return { path: metaPath, mounted: true };
    throw hostRefusal('GlusterError', `${metaVolume} was not mounted: see /var/log/glusterfs`);
  });
}

/**
 * What serves the mount outlives the daemon, and everybody sees it. Under systemd, which ends all that a service has started and may have
 * given it a mount namespace of its own, systemd mounts: it makes a unit of each line in fstab.
 */
async function mount(path: string, log: TaskContext['log']): Promise<void> {
  if (!systemdRuns()) return mountByTable(path, log);
  const systemctl = (...args: string[]) =>
    runTool('systemctl', ['--no-ask-password', ...args], { log, timeoutMs: mountTimeoutMs, from: 'systemd' });
  await systemctl('daemon-reload');
  await systemctl('start', `${path.slice(1).replaceAll('/', '-')}.mount`);
}

async function isMounted(): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').some((line) => {
    const words = line.split(' ');
    return words[4] === metaPath && line.includes(' - fuse.glusterfs ');
  });
}
