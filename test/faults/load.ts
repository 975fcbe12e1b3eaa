/** Callers that go on during a fault, and find out what became of each of their calls. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { nanoid } from 'nanoid';
import { type Client, HostbusError, HostUnreachable, type Task } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import type { CallLog, Outcome } from './recorder.ts';

/** Of a broker's nack too: the host itself would say its limit. */
const refusals = new Set(['Overloaded']);
const callTimeoutMs = 30_000;
const giveUpMs = 60_000;
const paceMs = 20;

export interface NoteCall {
  readonly log: CallLog;
  readonly client: Client;
  readonly hostId: string;
  /** The file that the verb notes in. */
  readonly notes: string;
  readonly ms: number;
}

/** Calls `note` once, and asks the host when that leaves it open what became of it. Never rejects. */
export async function callNote({ log, client, hostId, notes, ms }: NoteCall): Promise<Outcome> {
  const taskId = `${hostId}-${nanoid()}`;
  log.began(taskId);
  let outcome: Outcome;
  try {
    await client.host(hostId).callUntyped('note', { file: notes, ms }, { taskId, timeout: callTimeoutMs });
    outcome = { is: 'answered' };
  } catch (error) {
    if (error instanceof HostUnreachable) outcome = { is: 'refused', error: error.name };
    else if (!(error instanceof HostbusError)) outcome = await askFor(client, hostId, taskId);
    else if (refusals.has(error.name)) outcome = { is: 'refused', error: error.name };
    else outcome = { is: 'failed', error: error.name };
  }
  log.ended(taskId, outcome);
  return outcome;
}

/** What the host says of a task, as soon as it can be asked. */
export async function askFor(client: Client, hostId: string, taskId: string): Promise<Outcome> {
  const deadlineMs = performance.now() + giveUpMs;
  for (;;) {
    try {
      const task: Task = await client.host(hostId).call('waitTask', { taskId }, { timeout: 5000 });
      if (task.finishedAt !== undefined) return { is: 'found', state: task.state };
    } catch (error) {
      if (error instanceof HostbusError && error.name === 'TaskNotFound') return { is: 'unknown' };
      if (performance.now() > deadlineMs) throw error;
    }
    await sleep(paceMs);
  }
}

export interface Load {
  /** Resolves once so many calls have had an outcome. */
  hasOutcomes(count: number): Promise<void>;
  /** No more calls; resolves when all have an outcome. */
  stop(): Promise<void>;
}

/** Keeps so many calls under way, each to one of the hosts, until it is stopped. */
export function startLoad(
  { log, client, notes }: Pick<NoteCall, 'log' | 'client' | 'notes'>,
  hostIds: readonly string[],
  callers: number,
): Load {
  let on = true;
  let outcomes = 0;
  const caller = async () => {
    while (on) {
      const hostId = hostIds[randomInt(hostIds.length)] ?? '';
      const { is } = await callNote({ log, client, hostId, notes, ms: randomInt(40) });
      outcomes += 1;
      // Whoever is refused waits a little before trying again.
      if (is === 'refused') await sleep(paceMs);
    }
  };
  const all = Promise.all(Array.from({ length: callers }, caller));
  return {
    async hasOutcomes(count) {
      await until(`${count} calls`, () => outcomes >= count);
    },
    async stop() {
      on = false;
      await all;
    },
  };
}
