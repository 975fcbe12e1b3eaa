/** The machine: Node, the service manager, limits, the clock. */
import { existsSync, readFileSync } from 'node:fs';
import { pino } from 'pino';
import { kernelClock } from '../lib/libc.ts';
import { version } from '../lib/version.ts';
import { run } from '../programs/run.ts';
import { type Finding, findingsOf } from './finding.ts';

const leastNode = 24;
const leastFiles = 4096;

/** Doctors tell what they find; what their programs say goes nowhere else. */
export const silentLog = pino({ level: 'silent' });

export function examineNode(): Finding {
  const { ok, failed } = findingsOf('node');
  const major = Number(process.versions.node.split('.')[0]);
  const found = `Node ${process.versions.node}, hostbus ${version}`;
  return major >= leastNode
    ? ok(found)
    : failed(`${found}: Node ${leastNode} or later is needed`, 'Install it, or use the Debian package');
}

export interface Service {
  readonly active: boolean;
  readonly user: string;
  readonly pid: number | undefined;
  /** What it may write: all else is read-only to it. Undefined: the unit does not say. */
  readonly writable: readonly string[] | undefined;
}

/** The unit as systemd has it; undefined without systemd, or without the unit. */
export async function examineService(): Promise<{ service: Service | undefined; finding: Finding }> {
  const { ok, skipped, warning, failed } = findingsOf('service');
  if (!existsSync('/run/systemd/system'))
    return { service: undefined, finding: skipped('systemd does not run here') };
  const keys = [
    'LoadState',
    'ActiveState',
    'SubState',
    'UnitFileState',
    'User',
    'MainPID',
    'NRestarts',
    'ProtectSystem',
    'ReadWritePaths',
  ];
  let facts: Map<string, string>;
  try {
    const { stdout } = await run('systemctl', ['show', 'hostbusd.service', `--property=${keys.join(',')}`], {
      log: silentLog,
      timeoutMs: 5000,
    });
    facts = new Map(stdout.split('\n').map((line) => [line.split('=')[0] ?? '', line.split('=')[1] ?? '']));
  } catch (error) {
    return { service: undefined, finding: skipped((error as Error).message) };
  }
  if (facts.get('LoadState') !== 'loaded')
    return { service: undefined, finding: skipped('systemd knows no unit hostbusd.service') };
  const active = facts.get('ActiveState') === 'active';
  const service = {
    active,
    user: facts.get('User') || 'root',
    pid: active ? Number(facts.get('MainPID')) : undefined,
    writable:
      facts.get('ProtectSystem') === 'strict' ? (facts.get('ReadWritePaths') ?? '').split(' ') : undefined,
  };
  const state = `hostbusd.service is ${facts.get('ActiveState')} (${facts.get('SubState')})`;
  if (!active) {
    const remedy = 'systemctl enable --now hostbusd; why it ended: journalctl -u hostbusd -n 50';
    return { service, finding: failed(state, remedy) };
  }
  const restarts = Number(facts.get('NRestarts'));
  if (restarts > 0)
    return {
      service,
      finding: warning(`${state}, restarted ${restarts} times`, 'Why: journalctl -u hostbusd -n 200'),
    };
  return facts.get('UnitFileState') === 'disabled'
    ? {
        service,
        finding: warning(`${state}, and will not start with the machine`, 'systemctl enable hostbusd'),
      }
    : { service, finding: ok(state) };
}

/** Storage roots that the unit's own sandbox keeps the daemon from writing. */
export function examineSandbox(writable: Service['writable'], roots: readonly string[]): Finding[] {
  if (writable === undefined) return [];
  const paths = writable.map((path) => path.replace(/^[-+]*/, ''));
  const isInside = (root: string, path: string) =>
    root === path || root.startsWith(path === '/' ? '/' : `${path}/`);
  const kept = roots.filter((root) => !paths.some((path) => path !== '' && isInside(root, path)));
  if (kept.length === 0) return [];
  return [
    findingsOf('service').failed(
      `the unit lets hostbusd only read ${kept.join(', ')}`,
      `systemctl edit hostbusd: [Service], ReadWritePaths=${kept.join(' ')}; then systemctl restart hostbusd`,
    ),
  ];
}

/** Open files: of the daemon where it runs under systemd, else of this process. */
export function examineLimits(pid: number | undefined): Finding {
  const { ok, warning, skipped } = findingsOf('limits');
  let text: string;
  try {
    text = readFileSync(`/proc/${pid ?? 'self'}/limits`, 'utf8');
  } catch (error) {
    return skipped((error as Error).message);
  }
  // Node raises the soft limit to the hard one by itself.
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(text)?.[1] ?? '?';
  const found = `${hard} open files${pid === undefined ? ' (of this shell; the unit sets its own)' : ''}`;
  return hard === 'unlimited' || Number(hard) >= leastFiles
    ? ok(found)
    : warning(`${found}: ${leastFiles} or more are wanted`, 'LimitNOFILE=65536 in the unit, or ulimit -Hn');
}

/** Whether the kernel's clock is kept in step with others, as whoever keeps it told the kernel. */
export async function examineClock(): Promise<Finding> {
  const { ok, warning } = findingsOf('clock');
  const { synchronized, maxErrorMs } = await kernelClock();
  return synchronized
    ? ok(`synchronized, to within ${Math.ceil(maxErrorMs)} ms`)
    : warning(
        'nothing keeps it in step: times in events and logs may be wrong; nothing else depends on it',
        'apt install systemd-timesyncd (or chrony), and see timedatectl',
      );
}
