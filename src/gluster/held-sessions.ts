/**
 * Geo-replication that is paused while snapshots are taken, and resumed whatever happens. Each volume whose sessions are to be paused
 * gets a mark first (`user.hostbus.paused.HOST`), which says which they are, who holds them, and until when. Whoever dies
 * in between leaves the mark: the next daemon of that host resumes at once, any other once the time is over. A hold that
 * lasts too long therefore costs the snapshots, never the replication.
 *
 * A daemon that dies before the mark has paused nothing; after it, resuming what runs is no harm; after resuming, the mark goes next time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { HostbusError } from '../../schemas/errors.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { parseSessions, remoteOf } from './geo-replication-status.ts';
import { refusal } from './refusals.ts';
import { type MarkedVolume, readMarks, setMark } from './volume-marks.ts';

export interface Session {
  readonly volume: string;
  /** `[USER@]HOST::VOLUME` */
  readonly secondary: string;
}

const Hold = Compile(
  Type.Object({
    bootId: Type.String(),
    /** Milliseconds since 1970. */
    until: Type.Integer(),
    /** {@link MarkedVolume.bricksId}: a restored volume or a clone has the mark of its snapshot, which holds nothing. */
    bricksId: Type.String(),
    secondaries: Type.Array(Type.String()),
  }),
);
const markPrefix = 'paused.';
/** Of the status of sessions, where Gluster says nothing of use. */
const statusTries = 5;

/** What is held from {@link HeldSessions.pause} to {@link HeldSessions.resume}. */
export interface Held {
  readonly sessions: readonly Session[];
  readonly untilMs: number;
}

export interface HeldSessionsOptions {
  readonly commands: GlusterCommands;
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  /** Between looks for what dead daemons have left. */
  readonly lookEveryMs: number;
  /** How long sessions are held for at most: this, and so much more for each volume. */
  readonly holdMs: number;
  readonly holdPerVolumeMs: number;
}

export class HeldSessions {
  readonly #options: HeldSessionsOptions;
  readonly #closing = new AbortController();
  /** Volumes that this daemon holds sessions of, now. */
  readonly #holding = new Set<string>();
  #lastTurn: Promise<unknown> = Promise.resolve();
  #complained = false;

  constructor(options: HeldSessionsOptions) {
    this.#options = options;
  }

  /**
   * Pauses the running sessions of these volumes.
   * @throws {HostbusError} one could not be paused; those before it are resumed, or will be
   */
  pause(volumes: readonly string[], options: CommandOptions): Promise<Held> {
    return this.#inTurn(() => this.#pause(volumes, options));
  }

  /** Resumes; returns what could not be resumed. That stays marked, and is tried again with each look. */
  resume(held: Held, options: CommandOptions): Promise<Session[]> {
    return this.#inTurn(() => this.#resume(held, options));
  }

  /** Resumes what daemons have left paused that are dead, or have taken too long. Never rejects: it is tried again with the next look. */
  finishAbandoned(options: CommandOptions): Promise<void> {
    return this.#inTurn(() => this.#look(options));
  }

  /** Looks now and again for what was abandoned, until `close()`. */
  async watch(installed: () => boolean): Promise<void> {
    const { log, lookEveryMs } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      if (installed()) await this.finishAbandoned({ log });
      // Hosts that were started together look at different times.
      const waitMs = lookEveryMs * (0.75 + Math.random() / 2);
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() =>
        log.debug('looks for held sessions no more'),
      );
    }
  }

  close(): void {
    this.#closing.abort();
  }

  /** One at a time, so that what one has just marked is not taken for abandoned by another. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  async #pause(volumes: readonly string[], options: CommandOptions): Promise<Held> {
    const { commands, bootId, holdMs, holdPerVolumeMs } = this.#options;
    const untilMs = Date.now() + holdMs + volumes.length * holdPerVolumeMs;
    const marked = await readMarks(commands, options);
    const sessions: Session[] = [];
    try {
      for (const volume of volumes) {
        const found = marked.get(volume);
        if (found?.replicated !== true) continue;
        const running = await runningSessions(commands, volume, options);
        if (running.length === 0) continue;
        // What an earlier hold has left is resumed with this one.
        const left = this.#holdOf(found, this.#markName)?.secondaries ?? [];
        const secondaries = [...new Set([...running, ...left])];
        sessions.push(...secondaries.map((secondary) => ({ volume, secondary })));
        this.#holding.add(volume);
        const hold = { bootId, until: untilMs, bricksId: found.bricksId, secondaries };
        await setMark(commands, volume, this.#markName, JSON.stringify(hold), options);
        for (const secondary of running) await georep(commands, { volume, secondary }, 'pause', options);
      }
    } catch (error) {
      await this.#resume({ sessions, untilMs }, options);
      throw error;
    }
    return { sessions, untilMs };
  }

  async #resume({ sessions }: Held, options: CommandOptions): Promise<Session[]> {
    const failed: Session[] = [];
    for (const [volume, own] of Map.groupBy(sessions, (session) => session.volume)) {
      const secondaries = own.map(({ secondary }) => secondary);
      try {
        await this.#finish(volume, this.#markName, secondaries, options);
      } catch (error) {
        options.log.warn(
          { err: error, volume, secondaries },
          'could not resume geo-replication; it will be tried again',
        );
        failed.push(...own);
      }
      this.#holding.delete(volume);
    }
    return failed;
  }

  async #finishAll(options: CommandOptions): Promise<void> {
    const all = [...(await readMarks(this.#options.commands, options)).values()].flatMap((found) =>
      [...found.marks.keys()].filter((name) => name.startsWith(markPrefix)).map((name) => ({ found, name })),
    );
    const failures: unknown[] = [];
    for (const { found, name } of all) {
      const { volume } = found;
      const hold = this.#holdOf(found, name);
      if (hold !== undefined && !this.#isAbandoned(volume, name, hold)) continue;
      try {
        await this.#finish(volume, name, hold?.secondaries ?? [], options);
        if (hold !== undefined)
          options.log.info({ volume, mark: name }, 'resumed geo-replication that was left paused');
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  get #markName(): string {
    return markPrefix + this.#options.hostId;
  }

  async #look(options: CommandOptions): Promise<void> {
    try {
      await this.#finishAll(options);
      this.#complained = false;
    } catch (error) {
      // Where glusterd does not run, nothing of this host's is paused either.
      const unavailable = error instanceof HostbusError && error.name === 'GlusterUnavailable';
      const quiet = unavailable || this.#complained || this.#closing.signal.aborted;
      const level = quiet ? 'debug' : 'warn';
      options.log[level]({ err: error }, 'could not resume geo-replication that was left paused');
      this.#complained ||= !unavailable;
    }
  }

  #holdOf({ marks, bricksId }: MarkedVolume, name: string) {
    try {
      const hold: unknown = JSON.parse(marks.get(name) ?? 'null');
      return Hold.Check(hold) && hold.bricksId === bricksId ? hold : undefined;
    } catch {
      return undefined;
    }
  }

  #isAbandoned(volume: string, name: string, hold: { bootId: string; until: number }): boolean {
    if (name !== this.#markName) return Date.now() > hold.until;
    return hold.bootId !== this.#options.bootId || !this.#holding.has(volume);
  }

  async #finish(
    volume: string,
    mark: string,
    secondaries: readonly string[],
    options: CommandOptions,
  ): Promise<void> {
    const { commands } = this.#options;
    for (const secondary of secondaries) await georep(commands, { volume, secondary }, 'resume', options);
    await setMark(commands, volume, mark, undefined, options);
  }
}

/** What is as it is to be already, is no failure: it may have been stopped or deleted meanwhile, or never been paused. */
const fine = {
  pause: /already paused/i,
  resume: /is not paused|does not exist|not set up/i,
} as const;

async function georep(
  commands: GlusterCommands,
  { volume, secondary }: Session,
  action: 'pause' | 'resume',
  options: CommandOptions,
): Promise<void> {
  const reply = await commands.reply(['volume', 'geo-replication', volume, secondary, action], options);
  if (reply.opRet !== 0 && !fine[action].test(reply.opErrstr)) throw refusal(reply);
}

/** The sessions of a volume that would keep Gluster from making a snapshot. */
async function runningSessions(
  commands: GlusterCommands,
  volume: string,
  options: CommandOptions,
): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await commands.run(
        ['volume', 'geo-replication', volume, 'status'],
        options,
        parseRunningSessions,
      );
    } catch (error) {
      if (!saysNoSession(error)) throw error;
      // Should there be one all the same, Gluster refuses the snapshot.
      if (attempt === statusTries) return [];
      await sleep(backoffMs(attempt, 100, 1000));
    }
  }
}

/** What Gluster says, without XML, when there is no session; and when another transaction is in progress. */
function saysNoSession(error: unknown): boolean {
  return (
    error instanceof HostbusError && /^geo-replication command failed/i.test(String(error.data.opErrstr))
  );
}

/** States in which Gluster makes snapshots. */
const idle = new Set(['created', 'stopped', 'paused']);

/** Reads `volume geo-replication VOLUME status`: the names of sessions of which any brick is not idle. */
export function parseRunningSessions(body: XmlElement): string[] {
  const running = parseSessions(body).filter(({ bricks }) => bricks.some(({ status }) => !idle.has(status)));
  return running.map(remoteOf);
}
