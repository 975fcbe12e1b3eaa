/** Asking Gluster: one command, tried again while another transaction holds Gluster's lock. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type ErrorName, HostbusError } from '../../schemas/errors.ts';
import { backoffMs } from '../lib/backoff.ts';
import { type XmlElement, XmlError } from '../lib/xml.ts';
import { GlusterFailed, type GlusterReply, gluster } from '../programs/gluster.ts';
import { failure, isBusy, notUnderstood, refusal } from './refusals.ts';

export interface CommandTuning {
  /** How often a command is tried while another transaction is in progress. */
  readonly tries: number;
  /** The wait before the second try; it doubles, with jitter. */
  readonly firstWaitMs: number;
  readonly maxWaitMs: number;
  /** How long after its own time limit a command is killed. */
  readonly graceMs: number;
}

/** About 10 s of waiting in all: longer than the two or three commands that others may have queued. */
export const defaultTuning: CommandTuning = {
  tries: 9,
  firstWaitMs: 100,
  maxWaitMs: 2500,
  graceMs: 5000,
};

export interface CommandOptions {
  readonly log: Logger;
  /** How many times as long as others it may take, since it is slow by nature. @default 1 */
  readonly patience?: number;
  /** The command answers in plain text; see {@link GlusterOptions.plain}. */
  readonly plain?: boolean;
}

export class GlusterCommands {
  readonly #program: string;
  readonly #timeoutS: number;
  readonly #tuning: CommandTuning;
  readonly #closing = new AbortController();

  constructor(options: { program: string; timeoutS: number }, tuning: CommandTuning) {
    this.#program = options.program;
    this.#timeoutS = Math.ceil(options.timeoutS);
    this.#tuning = tuning;
  }

  /**
   * Runs a command and reads its answer.
   *
   * @param read - makes the result of `<cliOutput>`
   * @throws {HostbusError} an error of 2000–2099
   */
  async run<T>(
    args: readonly string[],
    options: CommandOptions,
    read: (body: XmlElement, reply: GlusterReply) => T,
  ): Promise<T> {
    const reply = await this.reply(args, options);
    if (reply.opRet !== 0) throw refusal(reply);
    return understand(reply, read);
  }

  /**
   * Runs a command; a refusal is a reply like any other, for those few commands whose refusal is an answer too.
   *
   * @throws {HostbusError} there was no answer, or Gluster was busy until the last try
   */
  async reply(
    args: readonly string[],
    { log, patience = 1, plain = false }: CommandOptions,
  ): Promise<GlusterReply> {
    const { tries, firstWaitMs, maxWaitMs, graceMs } = this.#tuning;
    const timeoutS = Math.ceil(this.#timeoutS * patience);
    const { signal } = this.#closing;
    const once = { program: this.#program, log, timeoutS, graceMs, plain, signal };
    for (let attempt = 1; ; attempt += 1) {
      const reply = await answerOf(args, once);
      if (!isBusy(reply)) return reply;
      if (attempt >= tries) throw refusal(reply);
      await this.#wait(backoffMs(attempt, firstWaitMs, maxWaitMs), reply);
    }
  }

  /** How long a program may take that asks glusterd by itself. @param patience - see {@link CommandOptions} */
  limitMs(patience = 1): number {
    return this.#timeoutS * patience * 1000 + this.#tuning.graceMs;
  }

  /** Ends what is under way, of our side: glusterd goes on with what it was asked for. */
  close(): void {
    this.#closing.abort();
  }

  async #wait(ms: number, reply: GlusterReply): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#closing.signal });
    } catch {
      throw refusal(reply);
    }
  }
}

/**
 * Reads a reply.
 * @throws {HostbusError} GlusterError when it is not as it should be
 */
export function understand<T>(reply: GlusterReply, read: (body: XmlElement, reply: GlusterReply) => T): T {
  try {
    return read(reply.body, reply);
  } catch (error) {
    if (error instanceof XmlError) throw notUnderstood(reply, error);
    throw error;
  }
}

async function answerOf(
  args: readonly string[],
  options: Parameters<typeof gluster>[1],
): Promise<GlusterReply> {
  try {
    return await gluster(args, options);
  } catch (error) {
    throw error instanceof GlusterFailed ? failure(error) : error;
  }
}

/** Refuses with an error that Gluster's answer gives the reason for, though Gluster itself said yes. */
export function refused(
  reply: GlusterReply,
  message: string,
  name: ErrorName = 'GlusterError',
): HostbusError {
  const { command, opErrno, opErrstr, exitCode, stderr } = reply;
  return new HostbusError(name, message, { command, opErrno, opErrstr, exitCode, stderr });
}
