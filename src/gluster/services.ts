/** The verbs of `schemas/gluster-services.ts`. */
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import {
  type Service,
  type ServiceName,
  serviceNames,
  type serviceVerbs,
} from '../../schemas/gluster-services.ts';
import type { ImplementationsOf, TaskContext } from '../tasks/task-context.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { hostRefusal, runTool, type ToolReply, toolRefusal } from './tools.ts';

const stopScript = '/usr/share/glusterfs/scripts/stop-all-gluster-processes.sh';
/** The longest that systemd waits for glusterd's start, by its unit. */
const controlTimeoutMs = 310_000;
const lookTimeoutMs = 10_000;

/** What the kernel calls the process of a service; those that have none of their own are absent. */
const processNames: Partial<Record<ServiceName, string>> = {
  glusterd: 'glusterd',
  glustereventsd: 'glustereventsd',
  ctdb: 'ctdbd',
  smbd: 'smbd',
  'nfs-ganesha': 'ganesha.nfsd',
};

export function serviceImplementations(commands: GlusterCommands): ImplementationsOf<typeof serviceVerbs> {
  return {
    'gluster.getServices': async (_params, { log }) =>
      systemdRuns()
        ? { services: await unitsOf(serviceNames, log), serviceManager: 'systemd' }
        : { services: await lookAtProcesses(), serviceManager: 'none' },
    'gluster.controlService': async ({ service, action }, { log }) => {
      if (!systemdRuns()) {
        const message = `systemd does not run this host, so ${service} cannot be told to ${action}: use what started it`;
        throw hostRefusal('GlusterError', message);
      }
      const unit = `${service}.service`;
      await runTool('systemctl', ['--no-ask-password', action, unit], {
        log,
        timeoutMs: controlTimeoutMs,
        from: 'systemd',
      });
      const [now] = await unitsOf([service], log);
      if (now === undefined) throw hostRefusal('GlusterError', `systemd tells nothing of ${unit}`);
      return { service: now };
    },
    'gluster.stopAllProcesses': ({ force = false }, task) => stopAll(commands, force, task),
  };
}

/** As sd_booted(3) tells. */
export function systemdRuns(): boolean {
  return existsSync('/run/systemd/system');
}

async function unitsOf(names: readonly ServiceName[], log: TaskContext['log']): Promise<Service[]> {
  const properties = 'Id,LoadState,ActiveState,UnitFileState,MainPID';
  const units = names.map((name) => `${name}.service`);
  const args = ['--no-pager', 'show', `--property=${properties}`, ...units];
  const { stdout } = await runTool('systemctl', args, { log, timeoutMs: lookTimeoutMs, from: 'systemd' });
  return parseUnits(stdout, names);
}

const states: readonly NonNullable<Service['state']>[] = [
  'active',
  'reloading',
  'inactive',
  'failed',
  'activating',
  'deactivating',
  'maintenance',
];

/** Reads what `systemctl show` tells: a block for each unit that was asked for, in that order. */
export function parseUnits(output: string, names: readonly ServiceName[]): Service[] {
  const blocks = output.trim().split(/\n\s*\n/);
  return names.flatMap((service, at) => {
    const properties = new Map(
      (blocks[at] ?? '').split('\n').map((line) => {
        const equals = line.indexOf('=');
        return [line.slice(0, equals), line.slice(equals + 1)] as const;
      }),
    );
    const active = properties.get('ActiveState');
    if (active === undefined) return [];
    const pid = Number(properties.get('MainPID') ?? 0);
    return [
      {
        service,
        running: active === 'active' || active === 'reloading',
        installed: properties.get('LoadState') === 'loaded',
        state: states.find((state) => state === active) ?? 'unknown',
        startsAtBoot: /^enabled/.test(properties.get('UnitFileState') ?? ''),
        ...(pid > 0 ? { pid } : {}),
      },
    ];
  });
}

async function lookAtProcesses(): Promise<Service[]> {
  const found = await mainProcesses(new Set(Object.values(processNames)));
  return serviceNames.flatMap((service) => {
    const comm = processNames[service];
    if (comm === undefined) return [];
    const pid = found.get(comm);
    return [{ service, running: pid !== undefined, ...(pid === undefined ? {} : { pid }) }];
  });
}

/** PIDs by name, of those whose parent has another name; of this host only: a container's have another PID namespace. */
async function mainProcesses(names: ReadonlySet<string>): Promise<Map<string, number>> {
  const own = await readlink('/proc/self/ns/pid');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  // What cannot be read has ended meanwhile.
  const nameOf = async (pid: number) => (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
  const found = new Map<string, number>();
  for (const pid of pids.sort((a, b) => a - b)) {
    const comm = await nameOf(pid);
    if (!names.has(comm) || found.has(comm)) continue;
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
    if ((await nameOf(parent)) === comm) continue;
    if ((await readlink(`/proc/${pid}/ns/pid`).catch(() => '')) === own) found.set(comm, pid);
  }
  return found;
}

/**
 * Has this host's event daemon read its webhooks. Gluster's own tool fails to: from Python 3 on the daemon gives up its PID file once
 * it has started. Without a daemon there is nothing to do: it reads them when it starts.
 */
export async function reloadEventDaemon(log: TaskContext['log']): Promise<void> {
  const pid = (await mainProcesses(new Set(['glustereventsd']))).get('glustereventsd');
  if (pid === undefined) return;
  try {
    process.kill(pid, 'SIGUSR2');
  } catch (error) {
    log.warn({ err: error, pid }, 'glustereventsd could not be told to read its webhooks');
  }
}

async function stopAll(
  commands: GlusterCommands,
  force: boolean,
  { log }: CommandOptions,
): Promise<{ pids: number[] }> {
  // The script takes a glusterd that does not answer for one that has nothing under way.
  if (!force) await commands.run(['volume', 'info'], { log }, () => undefined);
  const reply = await runTool(stopScript, force ? [] : ['-g'], {
    log,
    timeoutMs: commands.limitMs(),
    from: 'glusterfs-server',
    // 1: some of them were gone before they could be killed, which is what was wanted.
    exitCodes: [0, 1, 64, 65],
  });
  const refused = refusalOf(reply);
  if (refused !== undefined) throw refused;
  const pids = [...reply.stdout.matchAll(/^sending SIGTERM to [a-z -]*?pid:? *(\d+)/gm)].map(([, pid]) =>
    Number(pid),
  );
  const gsyncd = /^sending SIGTERM to geo-rep gsync process ([\d\s]+)/m.exec(reply.stdout)?.[1] ?? '';
  const more = gsyncd.split(/\s+/).filter(Boolean).map(Number);
  return { pids: [...new Set([...pids, ...more])].sort((a, b) => a - b) };
}

/** By the exit codes that the script tells of itself. */
function refusalOf(reply: ToolReply) {
  if (reply.exitCode === 64) {
    const message = 'A rebalance runs, so nothing was stopped: wait for it, or use force';
    return toolRefusal('OperationRunning', message, reply);
  }
  if (reply.exitCode === 65) {
    const message = 'Entries wait to be healed, so nothing was stopped: wait for it, or use force';
    return toolRefusal('GlusterError', message, reply);
  }
  return undefined;
}
