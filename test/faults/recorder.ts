/**
 * Compares what callers were told with what subscribers saw and with what the verbs themselves noted on disk while they ran.
 *
 * What must hold, whatever the fault:
 * - each call has an outcome: its answer, a refusal, or what the host says when it is asked for the task;
 * - no task runs twice, and what was refused has not run;
 * - a task that began ends, unless its daemon died; and who asks for it is never told that there is none while its daemon lives;
 * - subscribers see events in order, and where some are missing they are told.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import type { TaskState } from '../../schemas/task.ts';
import { Witness } from './witness.ts';

export type Outcome =
  /** The answer came. */
  | { readonly is: 'answered' }
  /** The host answered with an error. */
  | { readonly is: 'failed'; readonly error: string }
  /** The host was not there, or the request queue took no more: nothing has run. */
  | { readonly is: 'refused'; readonly error: string }
  /** The answer was lost; the host, when asked, told this. */
  | { readonly is: 'found'; readonly state: TaskState }
  /** The answer was lost, and the host, when asked, knew no such task. */
  | { readonly is: 'unknown' };

export interface CallLog {
  began(taskId: string): void;
  ended(taskId: string, outcome: Outcome): void;
}

/** How the calls ended, and what subscribers saw, so far. */
export interface Tally {
  calls: number;
  answered: number;
  refused: number;
  found: number;
  /** Asked for in vain: it never reached the host. */
  neverCame: number;
  /** Asked for in vain: it ended with its daemon. */
  diedWithDaemon: number;
  events: number;
  /** Numbers that a subscriber saw to be left out. */
  missed: number;
}

interface Ran {
  begins: number;
  ends: number;
  pids: Set<number>;
}

export class Recorder implements CallLog {
  /** Where the verb `note` writes. */
  readonly notes: string;
  readonly witnesses: Witness[] = [];
  readonly #calls = new Map<string, Outcome | undefined>();
  readonly #dead = new Set<number>();

  constructor(notes: string) {
    this.notes = notes;
  }

  began(taskId: string): void {
    assert.ok(!this.#calls.has(taskId), `${taskId} is used twice`);
    this.#calls.set(taskId, undefined);
  }

  ended(taskId: string, outcome: Outcome): void {
    assert.ok(this.#calls.has(taskId), `${taskId} has not begun`);
    this.#calls.set(taskId, outcome);
  }

  /** Calls that have no outcome yet. */
  open(): string[] {
    return [...this.#calls].filter(([, outcome]) => outcome === undefined).map(([taskId]) => taskId);
  }

  /** The fault takes this daemon: its tasks end with it. */
  willDie(pid: number): void {
    this.#dead.add(pid);
  }

  addWitness(name: string): Witness {
    const witness = new Witness(name);
    this.witnesses.push(witness);
    return witness;
  }

  tally(): Tally {
    const ran = this.#ran();
    const outcomes = [...this.#calls];
    const count = (...kinds: Outcome['is'][]) =>
      outcomes.filter(([, outcome]) => outcome !== undefined && kinds.includes(outcome.is)).length;
    const unknown = outcomes.filter(([, outcome]) => outcome?.is === 'unknown');
    const died = unknown.filter(([taskId]) => ran.has(taskId)).length;
    const sum = (key: 'events' | 'missed') =>
      this.witnesses.reduce((all, { counts }) => all + counts[key], 0);
    return {
      calls: outcomes.length,
      answered: count('answered', 'failed'),
      refused: count('refused'),
      found: count('found'),
      neverCame: unknown.length - died,
      diedWithDaemon: died,
      events: sum('events'),
      missed: sum('missed'),
    };
  }

  /** @throws AssertionError with all that does not hold */
  check(): void {
    const ran = this.#ran();
    const wrong = this.witnesses.flatMap(({ violations }) => violations);
    for (const [taskId, outcome] of this.#calls) {
      const trouble = this.#troubleOf(outcome, ran.get(taskId));
      if (trouble !== undefined) wrong.push(`${taskId}, ${JSON.stringify(outcome)}: ${trouble}`);
      if (outcome?.is === 'answered') wrong.push(...this.#untold(taskId, ran.get(taskId)));
    }
    for (const taskId of ran.keys())
      if (!this.#calls.has(taskId)) wrong.push(`${taskId} ran, and nobody called it`);
    assert.deepEqual(wrong, []);
  }

  #troubleOf(outcome: Outcome | undefined, ran: Ran | undefined): string | undefined {
    if (outcome === undefined) return 'it has no outcome';
    const hasEnded = outcome.is === 'answered' || (outcome.is === 'found' && outcome.state === 'succeeded');
    if (ran === undefined) return hasEnded ? 'it did not run' : undefined;
    if (ran.begins > 1) return `it ran ${ran.begins} times`;
    if (outcome.is === 'refused') return 'it ran all the same';
    if (this.#diedWith(ran)) return undefined;
    if (ran.ends !== 1) return 'it began and did not end, though its daemon lives';
    return outcome.is === 'unknown' ? 'it was forgotten, though its daemon lives' : undefined;
  }

  #diedWith(ran: Ran | undefined): boolean {
    return [...(ran?.pids ?? [])].some((pid) => this.#dead.has(pid));
  }

  /** Who missed nothing has seen the beginning and the end of each task; the last events of a daemon may go with it. */
  #untold(taskId: string, ran: Ran | undefined): string[] {
    if (this.#diedWith(ran)) return [];
    return this.witnesses
      .filter(({ counts }) => counts.missed === 0)
      .filter((witness) => witness.eventsOf(taskId).join() !== 'started,succeeded')
      .map(
        (witness) => `${taskId}: ${witness.name} saw ${witness.eventsOf(taskId).join() || 'no event'} of it`,
      );
  }

  #ran(): Map<string, Ran> {
    const ran = new Map<string, Ran>();
    const lines = existsSync(this.notes) ? readFileSync(this.notes, 'utf8').split('\n') : [];
    for (const line of lines) {
      const [word, taskId, pid] = line.split(' ');
      if (word === undefined || taskId === undefined) continue;
      const known = ran.get(taskId) ?? { begins: 0, ends: 0, pids: new Set<number>() };
      if (word === 'begin') known.begins += 1;
      else known.ends += 1;
      known.pids.add(Number(pid));
      ran.set(taskId, known);
    }
    return ran;
  }
}
