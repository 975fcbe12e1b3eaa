/** What Gluster refused, as errors of the contract. Its own words are always in `data`. */
import { type ErrorName, HostbusError } from '../../schemas/errors.ts';
import type { GlusterFailed, GlusterReply } from '../programs/gluster.ts';

/** Gluster's error number for "another transaction is in progress". */
const busyErrno = 30802;

interface Rule {
  readonly name: ErrorName;
  /** Any of these numbers … */
  readonly errnos?: readonly number[];
  /** … or these words. Most failures have the number 30800, so that only the words tell. */
  readonly words?: RegExp;
  /** Only for commands that begin with one of these words. */
  readonly commands?: readonly string[];
  readonly wayOut?: string;
}

/** The first that fits, decides. Words as of glusterfs 10. */
const rules: readonly Rule[] = [
  {
    name: 'GlusterBusy',
    errnos: [busyErrno],
    words: /another transaction (is|could be) in progress|locking failed/i,
    wayOut: 'Nothing was changed; ask again',
  },
  {
    name: 'SnapshotLimit',
    errnos: [30805],
    commands: ['snapshot'],
    wayOut: 'Delete one, or raise the limit',
  },
  {
    name: 'SnapshotNotFound',
    errnos: [30807],
    words: /snapshot \S+ does not exist|failed to find :\S+ snap/i,
    commands: ['snapshot'],
    wayOut: 'gluster.listSnapshots tells what there is',
  },
  { name: 'OperationRunning', errnos: [30808], commands: ['snapshot'], wayOut: 'Wait for it, or stop it' },
  {
    name: 'SnapshotState',
    errnos: [30809, 30810],
    commands: ['snapshot'],
  },
  {
    name: 'SnapshotState',
    words: /snapshot \S+ is (already (activated|deactivated)|not activated)/i,
    commands: ['snapshot'],
  },
  { name: 'SnapshotExists', errnos: [30811, 30812], commands: ['snapshot'], wayOut: 'Choose another name' },
  {
    name: 'GeoReplicationState',
    errnos: [30814],
    commands: ['snapshot'],
    wayOut: 'Pause or stop the geo-replication of the volume first',
  },
  { name: 'NotThin', errnos: [30815], commands: ['snapshot'] },
  {
    name: 'VolumeNotFound',
    errnos: [30806],
    words: /volume (\S+ )?does not exist|volume \S+ not found|no such volume/i,
    wayOut: 'gluster.listVolumes tells what there is',
  },
  {
    name: 'VolumeExists',
    words: /volume( with name:)?\s*\S+ already exists/i,
    wayOut: 'Choose another name',
  },
  {
    name: 'PeerDisconnected',
    errnos: [30803, 30804, 107],
    words:
      /host \S+ (is )?not connected|peers? .*(down|not connected|disconnected)|transport endpoint is not connected|host \S+ is not in .?(peer in cluster|cluster)|bricks (may be down|are not running)|host node of the brick \S+ is down|not in quorum/i,
    wayOut: 'gluster.listPeers tells which hosts are connected, gluster.getVolumeStatus which bricks run',
  },
  {
    name: 'OperationRunning',
    words:
      /rebalance on \S+ is already started|rebalance (session |process )?is (in progress|running)|an earlier remove-brick task|a remove-brick task on volume/i,
    wayOut: 'Wait for it, or stop it',
  },
  {
    name: 'NoOperation',
    words: /(rebalance|remove-brick) not started for volume|is not decommissioned/i,
  },
  { name: 'NotDistributed', words: /is not a distribute volume/i },
  {
    name: 'GlusterError',
    words: /not needed when reducing replica count/i,
    wayOut: 'gluster.forceBrickRemoval does that',
  },
  {
    name: 'MigrationUnfinished',
    words: /migration (is in progress|has failed)/i,
    wayOut: 'Wait for the migration, or see why it failed',
  },
  {
    name: 'GlusterUnavailable',
    words: /unrecognized word: geo-replication/i,
    wayOut: 'gsyncd of this host is not installed, or does not start: install glusterfs-geo-replication',
  },
  {
    name: 'GeoReplicationState',
    words:
      /geo-replication sessions? .*(does not exist|already (started|paused)|is not paused|still active|are active|is not running on this node)|geo-replication is not set up|session between .* already created/i,
  },
];

/** Whether another transaction held Gluster's lock: the command did nothing, and may be tried again. */
export function isBusy(reply: GlusterReply): boolean {
  return reply.opRet !== 0 && ruleFor(reply)?.name === 'GlusterBusy';
}

/** The error for a reply whose `opRet` is not 0. */
export function refusal(reply: GlusterReply): HostbusError {
  const rule = ruleFor(reply);
  const said = reply.opErrstr === '' ? `error ${reply.opErrno}, without a word` : sentence(reply.opErrstr);
  const wayOut = rule?.wayOut === undefined ? '' : `. ${rule.wayOut}`;
  return new HostbusError(rule?.name ?? 'GlusterError', `Gluster says: ${said}${wayOut}`, dataOf(reply));
}

/** What to do where glusterd is dead. */
export const noDaemon = 'glusterd does not answer on this host: start it (systemctl start glusterd)';

/** Whether a program of Gluster's, which asks glusterd by itself, has said that there is none. */
export function saysNoDaemon(words: string): boolean {
  return /connection failed\. please check if gluster daemon/i.test(words);
}

/** The error for a command that had no answer. */
export function failure(failed: GlusterFailed): HostbusError {
  const data = {
    command: failed.command,
    opErrno: null,
    opErrstr: failed.said === '' ? null : endOf(failed.said),
    exitCode: failed.exitCode ?? null,
    stderr: endOf(failed.stderr),
  };
  const cause = { cause: failed };
  switch (failed.kind) {
    case 'missing': {
      const message = `${failed.message}: install glusterfs-server, or set gluster.program`;
      return new HostbusError('GlusterUnavailable', message, data, cause);
    }
    case 'noDaemon': {
      return new HostbusError('GlusterUnavailable', noDaemon, data, cause);
    }
    case 'timeout': {
      const message =
        'Gluster did not answer in time. Whether the command took effect is not known: look before asking again';
      return new HostbusError('GlusterTimeout', message, data, cause);
    }
    case 'aborted': {
      const message =
        'The daemon was stopped meanwhile. Whether the command took effect is not known: look before asking again';
      return new HostbusError('GlusterError', message, data, cause);
    }
    default: {
      const rule = ruleFor({ command: failed.command, opErrno: 0, opErrstr: failed.said });
      const wayOut = rule?.wayOut === undefined ? '' : `. ${rule.wayOut}`;
      return new HostbusError(rule?.name ?? 'GlusterError', `${failed.message}${wayOut}`, data, cause);
    }
  }
}

/** Gluster said yes, but not what it says on such an occasion. */
export function notUnderstood(reply: GlusterReply, error: Error): HostbusError {
  const message = `Gluster's answer is not understood: ${error.message}`;
  return new HostbusError('GlusterError', message, dataOf(reply), { cause: error });
}

type Words = Pick<GlusterReply, 'command' | 'opErrno' | 'opErrstr'>;

function ruleFor(reply: Words): Rule | undefined {
  return rules.find((candidate) => fits(candidate, reply));
}

function fits({ errnos, words, commands }: Rule, reply: Words): boolean {
  const subject = reply.command.find((word, i) => i > 0 && !word.startsWith('--'));
  if (commands !== undefined && !commands.includes(subject ?? '')) return false;
  return errnos?.includes(reply.opErrno) === true || words?.test(reply.opErrstr) === true;
}

function dataOf(reply: GlusterReply): Record<string, unknown> {
  const { command, opErrno, opErrstr, exitCode, stderr } = reply;
  return { command, opErrno, opErrstr, exitCode, stderr: endOf(stderr) };
}

/** Without the usage that follows a word which the command line does not know. */
function sentence(words: string): string {
  return endOf(words.split('\n\n')[0] ?? '').replace(/[.\s]+$/, '');
}

function endOf(text: string): string {
  const trimmed = text.trim();
  return trimmed.length <= 1000 ? trimmed : `…${trimmed.slice(-1000)}`;
}
