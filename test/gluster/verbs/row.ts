/** What the faults need to know of a verb. */
import type { VerbTypes } from '../../../schemas/verbs.ts';
import type { FaultLab, GlusterVerb, Moment } from './fault-lab.ts';

export interface Row {
  readonly verb: GlusterVerb;
  /** With which it is really done. */
  readonly params: object;
  /** Whether it needs an answer of glusterd's. @default true */
  readonly asks?: boolean;
  /** What it ends with, always, where the lab cannot do it. */
  readonly refused?: string;
  /** What it ends with where its program is missing. @default GlusterUnavailable for what asks glusterd; else it is done */
  readonly missing?: string;
  /** Of a verb that changes something. */
  readonly change?: Change;
}

export interface Change {
  /** Brings about, whatever has been done before, that it can be done. */
  prepare(lab: FaultLab): Promise<unknown>;
  /** What it changes, as Gluster or the file has it, without what differs each time. */
  look(lab: FaultLab): Promise<unknown>;
  /** When the daemon is killed. */
  readonly moments: readonly Moment[];
  /** Whether its steps can be seen one by one. @default false */
  readonly steps?: boolean;
  /** What a refusal asks for where a daemon died between two steps. */
  undo?(lab: FaultLab): Promise<unknown>;
  /** The part of preparing without which it does not even ask for what is missing. */
  readonly prepareHost?: (lab: FaultLab) => Promise<unknown>;
  /** It leaves nothing that could be looked at. @default false */
  readonly traceless?: boolean;
  /** The other host that it asks. @default 2 */
  readonly peer?: number;
  /** Whether it is one of those few that stand for all. @default false */
  readonly sample?: boolean;
}

export const ask = <V extends GlusterVerb>(
  verb: V,
  params: VerbTypes[`gluster.${V}`]['params'],
  more: Partial<Row> = {},
): Row => ({ verb, params, ...more });

export const change = <V extends GlusterVerb>(
  verb: V,
  params: VerbTypes[`gluster.${V}`]['params'],
  what: Change,
  more: Partial<Row> = {},
): Row => ({ verb, params, change: what, ...more });

/** A change that is one command line. */
export const byCommand = (
  words: string,
  look: Change['look'],
  prepare: Change['prepare'],
  more: Partial<Change> = {},
): Change => ({ prepare, look, moments: around(words), ...more });

/** Before and after each of these command lines. */
export function around(...lines: string[]): Moment[] {
  return lines.flatMap((words) => (['before', 'after'] as const).map((when) => ({ when, words })));
}

/** At system calls: `rename`, or `unlink 2` for the second. */
export function at(...calls: string[]): Moment[] {
  return calls.map((call) => {
    const [systemCall = '', nth = '1'] = call.split(' ');
    return { systemCall, nth: Number(nth) };
  });
}

export function momentName(moment: Moment): string {
  return 'systemCall' in moment ? `at ${moment.systemCall} ${moment.nth}` : `${moment.when} ${moment.words}`;
}
