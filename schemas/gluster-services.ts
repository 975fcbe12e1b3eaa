/** Gluster: the services of a host, and the processes that outlive them. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
import { Force, glusterChange, glusterErrors, glusterQuery } from './gluster-common.ts';
import { defineVerb } from './verb.ts';

/** The services that may be controlled: Gluster's own, and those that share volumes. Names of systemd's units, without `.service`. */
export const serviceNames = [
  'glusterd',
  'glustereventsd',
  'glusterfssharedstorage',
  'gluster-ta-volume',
  'ctdb',
  'smb',
  'smbd',
  'nfs-ganesha',
] as const;
export type ServiceName = (typeof serviceNames)[number];

const serviceStates = [
  'active',
  'reloading',
  'inactive',
  'failed',
  'activating',
  'deactivating',
  'maintenance',
] as const;

export const Service = OpenObject(
  {
    service: Type.Enum([...serviceNames], { description: 'Its unit, without `.service`' }),
    running: Type.Boolean({ description: 'Its process is there, or it is active' }),
    installed: Type.Optional(Type.Boolean({ description: 'systemd knows the unit; absent without systemd' })),
    state: Type.Optional(
      Type.Enum([...serviceStates, 'unknown'], { description: "systemd's; absent without systemd" }),
    ),
    startsAtBoot: Type.Optional(Type.Boolean({ description: 'The unit is enabled; absent without systemd' })),
    pid: Type.Optional(Type.Integer({ description: 'Of its main process' })),
  },
  { description: 'A service of the host' },
);
export type Service = Type.Static<typeof Service>;

const serviceManager = Type.Enum(['systemd', 'none'], {
  description:
    '`none`: systemd does not run this host, so only processes are looked at, and nothing can be controlled',
});

export const getServices = defineVerb({
  ...glusterQuery,
  name: 'gluster.getServices',
  doc: "Tells which of Gluster's services this host has, and which run. Without systemd: those with a process of their own that can be looked for.",
  params: NoParams,
  result: OpenObject({ services: Type.Array(Service), serviceManager }),
  errors: glusterErrors,
  example: {},
});

export const controlService = defineVerb({
  ...glusterChange,
  name: 'gluster.controlService',
  doc: "Starts, stops or restarts one of Gluster's services through systemd. Stopping glusterd may take this host's bricks with it: Debian's unit does.",
  params: StrictObject({
    service: Type.Enum([...serviceNames], { description: 'Its unit, without `.service`' }),
    action: Type.Enum(['start', 'stop', 'restart'], { description: 'What to do' }),
  }),
  result: OpenObject({ service: Service }),
  errors: glusterErrors,
  access: 'admin',
  subject: ({ service }) => ({ kind: 'service', id: service }),
  example: { service: 'glustereventsd', action: 'restart' },
});

export const stopAllProcesses = defineVerb({
  ...glusterChange,
  name: 'gluster.stopAllProcesses',
  doc: "Ends all of Gluster's processes on this host but glusterd: its bricks go down, mounts of Gluster volumes hang or break, self-heal and geo-replication stop. Without `force` it is refused while a rebalance runs or entries wait for healing. They come back with `gluster.startVolume` and `force`, or with a restart of glusterd.",
  params: StrictObject({ force: Force }),
  result: OpenObject({
    pids: Type.Array(Type.Integer(), {
      description: 'The processes that were told to end; some may have been gone already',
    }),
  }),
  errors: [...glusterErrors, 'OperationRunning'],
  access: 'admin',
  example: {},
});

export const serviceVerbs = [getServices, controlService, stopAllProcesses] as const;
