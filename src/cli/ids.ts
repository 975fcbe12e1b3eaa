/**
 * Shapes of IDs and names of states, as `schemas/` has them. They are written down again because loading the schema library
 * would double the time that this program needs to start; a test holds them equal.
 */

import type { EventKind } from '../../schemas/events.ts';
import type { ImageFormat } from '../../schemas/image.ts';
import type { TaskState } from '../../schemas/task.ts';
import { UsageError } from './errors.ts';

export const hostIdPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const taskStates: readonly TaskState[] = ['queued', 'running', 'succeeded', 'failed', 'cancelled'];
export const imageFormats: readonly ImageFormat[] = ['raw', 'qcow2'];
export const eventKinds: readonly EventKind[] = ['task', 'host', 'image', 'domain', 'operation'];
/** Each event's name once, whatever its kind. */
export const eventWords: readonly string[] = [
  'started',
  'progress',
  'answered',
  'succeeded',
  'failed',
  'cancelled',
  'heartbeat',
  'stopping',
  'copying',
  'ok',
  'interrupted',
  'broken',
  'deleted',
  'up',
  'degraded',
  'down',
  'completed',
  'stopped',
  'paused',
];

/** @throws UsageError when no host can have that ID */
export function checkHostId(hostId: string): void {
  if (!hostIdPattern.test(hostId))
    throw new UsageError(
      `'${hostId}' is not a host ID: 1 to 63 of a-z, 0-9 and -, not starting or ending with -`,
      ['Which hosts are there: hostbus hosts'],
    );
}
