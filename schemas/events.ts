/** Events: what hosts broadcast. */
import Type from 'typebox';
import { BootId, OpenObject, Timestamp } from './common.ts';
import { Domain } from './domain.ts';
import { Operation } from './gluster-operations.ts';
import { HostInfo, HostStats } from './host.ts';
import { ImageStatus } from './image.ts';
import { Task } from './task.ts';

/** Which events there are of each kind. */
export const eventNames = {
  task: ['started', 'progress', 'answered', 'succeeded', 'failed', 'cancelled'],
  host: ['started', 'heartbeat', 'stopping'],
  image: ['copying', 'ok', 'interrupted', 'broken', 'deleted'],
  domain: ['up', 'degraded', 'down'],
  operation: ['started', 'progress', 'completed', 'failed', 'stopped', 'paused'],
} as const;

export type EventKind = keyof typeof eventNames;
export type EventNameOf<K extends EventKind> = (typeof eventNames)[K][number];

/** Something that happened, before it becomes a message. `id` names the object: task, host, image (`domainId/imageId`), domain, or operation of Gluster. */
export type Happening = {
  [K in EventKind]: {
    kind: K;
    event: EventNameOf<K>;
    id: string;
    data: object;
    flowId?: string | undefined;
    traceparent?: string | undefined;
  };
}[EventKind];

/** What `data` holds, by kind (and event, where they differ). */
export const eventData = {
  task: Task,
  host: { started: HostInfo, heartbeat: HostStats, stopping: HostStats },
  image: ImageStatus,
  imageDeleted: OpenObject({ domainId: Type.String(), imageId: Type.String() }),
  domain: Domain,
  operation: Operation,
} as const;

/** The body of an event: CloudEvents 1.0, structured mode. */
export const CloudEvent = OpenObject({
  specversion: Type.Literal('1.0'),
  id: Type.String({ description: '`<bootId>-<n>`' }),
  source: Type.String({ description: '`/hosts/<hostId>`' }),
  type: Type.String({ description: '`hostbus.<kind>.<event>`' }),
  subject: Type.String({ description: 'ID of the object, whole' }),
  time: Timestamp,
  datacontenttype: Type.Literal('application/json'),
  bootid: BootId,
  sequence: Type.String({
    pattern: '^[0-9]{16}$',
    description: 'Counts up by one per event of one boot; a gap or a new `bootid` tells a subscriber to ask',
  }),
  flowid: Type.Optional(Type.String()),
  traceparent: Type.Optional(Type.String()),
  data: Type.Object({}),
});
export type CloudEvent = Type.Static<typeof CloudEvent>;
