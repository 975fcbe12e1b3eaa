/** What is done to each verb, and what must hold then. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { HostbusError } from '../../../src/client/client.ts';
import { childrenOf, whileHung } from '../../lib/gluster-faults.ts';
import { refusedAs } from '../../lib/gluster-hosts.ts';
import { until } from '../../lib/until.ts';
import type { FaultLab, GlusterVerb, Moment } from './fault-lab.ts';
import { type Change, momentName, type Row } from './row.ts';

export const atPeers = 'while other hosts are asked';

/** A row of a verb that changes something. */
export type ChangeRow = Row & { readonly change: Change };

export const isChange = (row: Row): row is ChangeRow => row.change !== undefined;

/** How things are before and after a verb has been done. */
export interface Ends {
  readonly before: unknown;
  readonly after: unknown;
}

export const call = (lab: FaultLab, { verb, params }: Row, hostId?: string) =>
  lab.call(verb as 'addPeer', params as { host: string }, hostId) as Promise<unknown>;

/** Undisturbed. */
export async function isDone(lab: FaultLab, row: ChangeRow): Promise<Ends> {
  const { prepare, look, traceless = false } = row.change;
  await prepare(lab);
  const before = await look(lab);
  await call(lab, row);
  if (traceless) return { before, after: before };
  const after = await until(`${row.verb} is to be seen`, async () => {
    const found = { seen: await look(lab) };
    return !isDeepStrictEqual(found.seen, before) && found;
  });
  return { before, after: after.seen };
}

/** The daemon dies in the middle: any other one finds it done or not done, and may be asked again. */
export async function survivesDeath(
  lab: FaultLab,
  row: ChangeRow,
  moment: Moment | typeof atPeers,
  ends: Ends,
): Promise<void> {
  const { prepare, look, peer = 2 } = row.change;
  await prepare(lab);
  assert.deepEqual(await look(lab), ends.before, 'not prepared');
  const start = () => call(lab, row);
  if (moment === atPeers) await lab.killAtPeers(lab.lab.host(peer), start);
  else await lab.killAt(moment, start);
  await until('nothing of ours is left', async () => (await litter(lab)) === '');
  await isFound(lab, row, endsAt(row.change, moment, ends));
  await again(lab, row, ends.after);
  await isFound(lab, row, [ends.after]);
}

/** How things may be after a death; undefined: as between two steps, too. */
function endsAt(
  { moments, steps = false }: Change,
  moment: Moment | typeof atPeers,
  { before, after }: Ends,
): unknown[] | undefined {
  if (moment === moments[0]) return [before];
  if (steps) return undefined;
  if (moment === atPeers || 'systemCall' in moment) return [before, after];
  return moment.when === 'before' ? [before] : [after];
}

/** Gluster may be at it still, and needs a moment to tell. */
async function isFound(
  lab: FaultLab,
  { verb, change }: ChangeRow,
  ends: unknown[] | undefined,
): Promise<void> {
  if (ends === undefined) return;
  let seen: unknown;
  const isOne = async () => {
    seen = await change.look(lab);
    return ends.some((end) => isDeepStrictEqual(seen, end));
  };
  await until(`${verb} is done, or not`, isOne, 30_000).catch(() => assert.deepEqual(seen, ends));
}

/** glusterd hangs: the call ends in time, with all that it has started; when glusterd goes on, so does the verb. */
export async function survivesHanging(lab: FaultLab, row: ChangeRow, { after }: Ends): Promise<void> {
  const { prepare } = row.change;
  await prepare(lab);
  await whileHung(lab.h1, () => endsInTime(lab, row));
  // glusterd takes up what waited in its socket, whose callers have gone: meanwhile this may be refused.
  const isDoneAgain = async () => {
    await prepare(lab);
    await call(lab, row);
    return true;
  };
  await until('it can be done again', () => isDoneAgain().catch(() => false), 120_000);
  await isFound(lab, row, [after]);
}

/** Has the verb done by a daemon that waits for a second only, while glusterd hangs. */
export async function endsInTime(lab: FaultLab, row: Row): Promise<void> {
  const { asks = true, refused } = row;
  const ended = call(lab, row, lab.impatient.hostId);
  if (refused !== undefined) await refusedAs(refused as 'GlusterError', ended);
  else if (asks) {
    const error = await refusedAs('GlusterTimeout', ended);
    assert.match(error.message, /not known: look before asking again/);
  } else await ended;
}

/** Gluster is there again, whatever it says. */
export async function answers(lab: FaultLab, row: Row): Promise<void> {
  await call(lab, row).catch((error: unknown) => {
    assert.ok(error instanceof HostbusError, String(error));
    assert.ok(!away.has(error.name), `${row.verb}: ${error.message}`);
  });
}

const away = new Set(['Internal', 'GlusterUnavailable', 'GlusterTimeout']);

/** Nothing runs any more that daemons have started. */
export function nothingRuns(lab: FaultLab): void {
  assert.deepEqual(childrenOf(lab.impatient), []);
  for (const program of ['gluster', 'gluster-eventsap']) {
    assert.deepEqual(lab.h1.processes(program), [], `${program} outlives its time`);
  }
}

/** Asks again, as a caller does whose answer was lost. */
async function again(lab: FaultLab, row: ChangeRow, after: unknown): Promise<void> {
  try {
    await call(lab, row);
  } catch (error) {
    assert.ok(error instanceof HostbusError, String(error));
    assert.ok(
      !['Internal', 'GlusterUnavailable', 'GlusterTimeout', 'GlusterBusy'].includes(error.name),
      error.message,
    );
    if (row.change.undo !== undefined && !isDeepStrictEqual(await row.change.look(lab), after)) {
      await row.change.undo(lab);
      await call(lab, row);
      return;
    }
    // Refused, since it has been done.
    assert.deepEqual(
      await row.change.look(lab),
      after,
      `${row.verb} is refused, but not done: ${error.message}`,
    );
  }
}

/** What daemons leave while they write: files whose names have ours in them. */
function litter(lab: FaultLab): Promise<string> {
  const places = '/etc /root/.ssh /home /var/lib/glusterd /run/gluster/shared_storage';
  return lab.sh(`find ${places} -xdev -name '*hostbus*' 2>/dev/null || true`);
}

export function titleOf(verb: GlusterVerb, moment: Moment | string): string {
  return `${verb}: a daemon dies ${typeof moment === 'string' ? moment : momentName(moment)}`;
}
