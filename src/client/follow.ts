/** Following an object of a host to its end: fed by events, asking where some may be missing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventKind } from '../../schemas/events.ts';
import { eventPattern } from '../bus/names.ts';
import type { Deadline } from './deadline.ts';
import { CallTimeout, HostUnreachable } from './errors.ts';
import type { Subscription } from './subscription.ts';
import type { HostEvent } from './types.ts';

export type Subscribe = (patterns: string[]) => Subscription;

/** When nothing was heard for so long, the host is asked: an event can be dropped while the broker is away. */
const silenceMs = 10_000;
/** How long a host may be away before whoever follows is told. */
const unreachableMs = 30_000;
const retryMs = 500;

export interface Followed<T> {
  readonly hostId: string;
  readonly kind: EventKind;
  readonly id: string;
  ask(): Promise<T>;
  isEnded(value: T): boolean;
  /** Of which boot the answer was, where it says so. */
  bootOf?(value: T): string;
}

/** The object each time that something about it changed, the last one being its end. */
export async function* follow<T>(
  { hostId, kind, id, ask, isEnded, bootOf }: Followed<T>,
  subscribe: Subscribe,
  deadline: Deadline,
): AsyncGenerator<T> {
  // The host's own events show a restart at the latest with the next heartbeat.
  const events = subscribe([
    eventPattern({ host: hostId, kind, id }),
    eventPattern({ host: hostId, kind: 'host' }),
  ]);
  let mustAsk = true;
  events.onGap(() => {
    mustAsk = true;
  });
  let bootId: string | undefined;
  let dropped = 0;
  try {
    await deadline.orAbort(events.ready);
    for (;;) {
      if (mustAsk) {
        mustAsk = false;
        const value = await deadline.orAbort(patiently(deadline, ask));
        bootId = bootOf?.(value) ?? bootId;
        yield value;
        if (isEnded(value)) return;
      }
      const event = await deadline.orAbort(events.next(Math.min(silenceMs, deadline.leftMs())));
      deadline.check();
      const droppedNow = droppedBy(event) ?? dropped;
      if (event === undefined || (bootId !== undefined && event.bootId !== bootId) || droppedNow > dropped) {
        mustAsk = true;
      }
      dropped = droppedNow;
      if (event?.kind === kind && !mustAsk) {
        const value = event.data as T;
        yield value;
        if (isEnded(value)) return;
      }
      // Of an object whose answer tells no boot, the first event does.
      if (bootOf === undefined) bootId = event?.bootId ?? bootId;
    }
  } finally {
    await events.close();
  }
}

/** How many events the host has had to drop, where this one tells it: what is followed may have been among them. */
function droppedBy(event: HostEvent | undefined): number | undefined {
  if (event?.kind !== 'host') return undefined;
  const { events } = event.data as { events?: { dropped?: number } };
  return events?.dropped;
}

/** Asks again while the host is away for a short time, as after a restart of the broker. */
export async function patiently<T>(deadline: Deadline, ask: () => Promise<T>): Promise<T> {
  const giveUpMs = performance.now() + unreachableMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const passing = error instanceof HostUnreachable || error instanceof CallTimeout;
      if (!passing || performance.now() >= giveUpMs) throw error;
      deadline.check();
      await sleep(retryMs);
    }
  }
}
