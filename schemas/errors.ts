/**
 * Every error that a caller can get, in one table. Documentation, types and the wire all come from here.
 *
 * This file imports nothing, so that the command line can load it without the schema library.
 */

export interface ErrorEntry {
  /** JSON-RPC error code, fixed for ever. */
  readonly code: number;
  /** When it happens, in one sentence. */
  readonly when: string;
  /** What `data` holds beside `name`. */
  readonly data: string;
}

/** What every refusal of Gluster holds: its own words are never lost. */
const glusterData =
  '`command` (argv), `opErrno`, `opErrstr`, `exitCode`, `stderr` (its end); `null` where there was none';

export const errorTable = {
  ParseError: {
    code: -32700,
    when: 'The body is not UTF-8 JSON, or is nested deeper than 64 levels.',
    data: '',
  },
  InvalidRequest: {
    code: -32600,
    when: 'The JSON is not a JSON-RPC 2.0 request, or its `id` cannot be a task ID.',
    data: '',
  },
  MethodNotFound: { code: -32601, when: 'The host serves no such verb.', data: '`method`' },
  InvalidParams: {
    code: -32602,
    when: 'A parameter is missing, unknown, or of the wrong type or range.',
    data: '`errors`: a list of `{path, message}`, `path` being a JSON pointer into `params`',
  },
  InternalError: {
    code: -32603,
    when: 'The daemon made a mistake; its log has the details.',
    data: '`taskId`',
  },
  TaskIdInUse: {
    code: -32001,
    when: 'A task with this ID is queued or running on the host.',
    data: '`task`: the Task that holds the ID',
  },
  TaskNotFound: {
    code: -32002,
    when: 'The host knows no task with this ID: it never had one, forgot it, or was restarted.',
    data: '`taskId`, `bootId`',
  },
  Overloaded: {
    code: -32003,
    when: 'As many tasks as the host allows are queued or running.',
    data: '`limit`, `retryAfter` (ms)',
  },
  TaskEnded: { code: -32004, when: 'The task to be cancelled has ended already.', data: '`task`' },
  NotAllowed: {
    code: -32005,
    when: "The caller's access level is lower than the verb needs.",
    data: '`user`, `method`',
  },
  RequestTooLarge: { code: -32006, when: 'The body is over the limit.', data: '`limit`, `size` (bytes)' },
  NotCancellable: {
    code: -32007,
    when: 'The task has begun, and its verb cannot be stopped.',
    data: '`method`',
  },
  Cancelled: { code: -32008, when: 'The task was cancelled before it answered.', data: '`taskId`' },
  DomainNotFound: { code: 1001, when: 'The host has no such storage domain connected.', data: '`domainId`' },
  DomainExists: {
    code: 1002,
    when: 'The storage domain exists already, or is connected from another path.',
    data: '`domainId`, `path`',
  },
  DomainUnavailable: {
    code: 1003,
    when: 'The storage domain cannot be read or written: missing, damaged, foreign, failing, or not answering.',
    data: '`domainId`, and while its file system does not answer `since` (date-time)',
  },
  ImageNotFound: {
    code: 1004,
    when: 'The storage domain holds no such image.',
    data: '`domainId`, `imageId`',
  },
  ImageExists: { code: 1005, when: 'The image to be made exists already.', data: '`domainId`, `imageId`' },
  ImageBusy: {
    code: 1006,
    when: 'Somebody is using the image in a way that excludes this.',
    data: '`domainId`, `imageId`, `holder`: `{hostId, bootId, taskId}`',
  },
  ImageNotReady: {
    code: 1007,
    when: 'The image is not in the state that is needed: it is not `ok` and cannot be read from, or it is not `interrupted` and cannot be continued.',
    data: '`domainId`, `imageId`, `status`',
  },
  NoSpace: {
    code: 1008,
    when: 'The file system has too little space.',
    data: '`domainId`, `imageId`, `needed` and `available` (bytes) where known',
  },
  InvalidImage: {
    code: 1009,
    when: 'The file is not an image that can be taken in, or converted.',
    data: '`domainId`, `imageId`, `reason`',
  },
  CopyFailed: {
    code: 1010,
    when: 'Reading or writing failed during a copy; the target is `interrupted`.',
    data: '`domainId`, `imageId`, `errno`',
  },
  InvalidPath: {
    code: 1011,
    when: "The path is outside the host's storage roots, or not of the kind that is needed.",
    data: '`path`',
  },
  GlusterUnavailable: {
    code: 2000,
    when: 'Gluster cannot be asked on this host: its command line is not installed, or glusterd does not run.',
    data: glusterData,
  },
  GlusterBusy: {
    code: 2001,
    when: 'Another change was under way in the pool during all tries. Nothing was changed: ask again.',
    data: glusterData,
  },
  VolumeNotFound: { code: 2002, when: 'There is no such volume.', data: glusterData },
  VolumeExists: { code: 2003, when: 'The volume to be made exists already.', data: glusterData },
  PeerDisconnected: {
    code: 2004,
    when: 'A host or brick that the command needs cannot be reached.',
    data: glusterData,
  },
  OperationRunning: {
    code: 2005,
    when: 'A rebalance or brick removal of the volume is in the way.',
    data: `${glusterData}, \`operation\` where known`,
  },
  NoOperation: { code: 2006, when: 'The volume has no such operation.', data: glusterData },
  NotDistributed: {
    code: 2007,
    when: 'The volume has only one distribute subvolume: there is nothing to move between.',
    data: glusterData,
  },
  MigrationUnfinished: {
    code: 2008,
    when: 'Data is still on the bricks to be removed: their migration runs, or has failed.',
    data: glusterData,
  },
  SnapshotNotFound: { code: 2009, when: 'There is no such snapshot.', data: glusterData },
  SnapshotExists: { code: 2010, when: 'The snapshot or clone to be made exists already.', data: glusterData },
  SnapshotLimit: { code: 2011, when: 'The volume has as many snapshots as it may have.', data: glusterData },
  NotThin: {
    code: 2012,
    when: 'A brick is not on a thin logical volume, which snapshots need.',
    data: glusterData,
  },
  SnapshotState: {
    code: 2013,
    when: 'The snapshot or its volume is not in the state that the command needs.',
    data: glusterData,
  },
  GeoReplicationState: {
    code: 2014,
    when: 'The geo-replication session is not in the state that the command needs.',
    data: glusterData,
  },
  GlusterTimeout: {
    code: 2015,
    when: 'The command did not end in time. Whether it took effect is not known: look before asking again.',
    data: glusterData,
  },
  DeviceInUse: {
    code: 2016,
    when: 'The device that is to become a brick is in use, or holds something that only `force` destroys.',
    data: '`device`, `mountPoints` or `signatures`',
  },
  HookNotFound: { code: 2020, when: 'The host has no such hook.', data: glusterData },
  HookExists: { code: 2021, when: 'The host has a hook of this name already.', data: glusterData },
  WebhookNotFound: { code: 2022, when: 'No events are posted to this URL.', data: glusterData },
  WebhookExists: { code: 2023, when: 'Events are posted to this URL already.', data: glusterData },
  GlusterError: {
    code: 2099,
    when: 'Gluster refused, in words that have no error of their own.',
    data: glusterData,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorName = keyof typeof errorTable;

const nameByCode = new Map<number, ErrorName>(
  Object.entries(errorTable).map(([name, entry]) => [entry.code, name as ErrorName]),
);

/** The name that belongs to a code, or undefined for a code that this version does not know. */
export function errorNameOf(code: number): ErrorName | undefined {
  return nameByCode.get(code);
}

/** A failure that is told to the caller as it stands: `message` and `data` go over the wire. */
export class HostbusError extends Error {
  override readonly name: ErrorName;
  readonly code: number;
  /** What the wire carries beside `name`. */
  readonly data: Readonly<Record<string, unknown>>;

  /**
   * @param name - a name of {@link errorTable}
   * @param message - what is wrong and, where there is one, the way out
   * @param data - the fields that the table names; plain JSON
   * @param options - `cause` is logged, never sent
   */
  constructor(name: ErrorName, message: string, data: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
    this.code = errorTable[name].code;
    this.data = data;
  }

  /** From a JSON-RPC error object; one that a later version of the protocol added keeps its own name and code. */
  static fromWire(error: { code: number; message: string; data?: unknown }): HostbusError {
    const { name: told, ...data } = { ...(error.data as Record<string, unknown> | undefined) };
    const name = errorNameOf(error.code) ?? (typeof told === 'string' ? told : 'UnknownError');
    const made = new HostbusError('InternalError', error.message, data);
    return Object.assign(made, { name, code: error.code });
  }

  /** The JSON-RPC error object: `{code, message, data: {name, …}}`. */
  toJSON(): { code: number; message: string; data: { name: ErrorName; [key: string]: unknown } } {
    return { code: this.code, message: this.message, data: { ...this.data, name: this.name } };
  }
}
