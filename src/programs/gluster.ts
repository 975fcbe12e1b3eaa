/**
 * `gluster`: the command line of glusterd. It tells what happened in XML, not by its exit code, which is 0 for most failures; where it
 * could not even ask, it says so in plain text.
 */
import type { Logger } from 'pino';
import { parseXml, XmlElement, XmlError } from '../lib/xml.ts';
import { type FailureKind, ProgramFailed, run } from './run.ts';

export interface GlusterOptions {
  /** A name that is looked for in PATH, or a path. */
  program: string;
  log: Logger;
  /** It gives up by then itself. Whole seconds. */
  timeoutS: number;
  /** How long after that it is killed. */
  graceMs: number;
  /**
   * For the few commands that answer in plain text even when they do what they are asked: then the exit code is all that tells how it
   * went, and the text is `opErrstr` of a refusal, and the text of `body`.
   */
  plain?: boolean;
  /** Aborting kills it; glusterd goes on with what it was asked for. */
  signal?: AbortSignal;
}

/** What Gluster answered: yes or no. */
export interface GlusterReply {
  /** What was run, with the program. */
  readonly command: readonly string[];
  /** 0: done. Anything else: refused, or failed. */
  readonly opRet: number;
  readonly opErrno: number;
  readonly opErrstr: string;
  readonly exitCode: number;
  readonly stderr: string;
  /** `<cliOutput>`, but for the list of known options. */
  readonly body: XmlElement;
}

/**
 * Why there is no answer.
 * - those of any program
 * - `noDaemon`: glusterd does not run, or does not listen
 * - `text`: it said something, but not in XML: a word that it does not know, or a failure that it has no XML for
 * - `garbled`: XML that is damaged, cut off, or not what was expected
 */
export type GlusterFailureKind = FailureKind | 'noDaemon' | 'text' | 'garbled';

export class GlusterFailed extends Error {
  override readonly name = 'GlusterFailed';
  readonly kind: GlusterFailureKind;
  readonly command: readonly string[];
  readonly exitCode: number | undefined;
  /** What it said in plain text, on stdout or stderr. */
  readonly said: string;
  readonly stderr: string;

  constructor(
    kind: GlusterFailureKind,
    message: string,
    details: { command: readonly string[]; exitCode: number | undefined; said: string; stderr: string },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.command = details.command;
    this.exitCode = details.exitCode;
    this.said = details.said;
    this.stderr = details.stderr;
  }
}

const timedOutWords = /request timed out/i;
const maxOutputBytes = 32 * 1024 * 1024;

/**
 * Runs one command to its end.
 *
 * @param args - the words after `gluster`, such as `['volume', 'info']`; none may come from a caller unchecked
 * @throws {GlusterFailed} when there is no answer
 */
export async function gluster(args: readonly string[], options: GlusterOptions): Promise<GlusterReply> {
  const { program, log, timeoutS, graceMs, plain = false, signal } = options;
  const argv = ['--mode=script', '--xml', `--timeout=${timeoutS}`, ...args];
  const command = [program, ...argv];
  try {
    const end = await run(program, argv, {
      log,
      timeoutMs: timeoutS * 1000 + graceMs,
      maxOutputBytes,
      exitCodes: 'any',
      // It dies with the daemon: one that hangs would outlive it.
      limits: {},
      ...(signal === undefined ? {} : { signal }),
    });
    return readReply(command, end, plain);
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    const { kind, message, exitCode, stderr } = error;
    throw new GlusterFailed(kind, message, { command, exitCode, said: '', stderr }, { cause: error });
  }
}

/**
 * Reads what one command wrote.
 *
 * @param plain - see {@link GlusterOptions.plain}
 * @throws {GlusterFailed} it is no answer
 */
export function readReply(
  command: readonly string[],
  end: { exitCode: number; stdout: string; stderr: string },
  plain = false,
): GlusterReply {
  const { exitCode, stderr } = end;
  const start = end.stdout.indexOf('<?xml');
  const said = (start === -1 ? end.stdout : end.stdout.slice(0, start)).trim() || stderr.trim();
  const details = { command, exitCode, said, stderr };
  // `volume info` goes on to say that there are no volumes, and that all went well.
  const timedOut = timedOutWords.test(`${said}\n${stderr}`);
  if (start === -1 || timedOut) {
    const kind = timedOut ? 'timeout' : kindOfText(said);
    if (plain && kind === 'text') return plainReply(details);
    throw new GlusterFailed(kind, textFailure(said, exitCode), details);
  }
  try {
    const body = parseXml(end.stdout.slice(start).trim());
    const opErrstr = body.textIfAny('opErrstr') ?? body.textIfAny('output') ?? '';
    return {
      command,
      // The list of known options is a document of its own kind, without a word about itself.
      opRet: body.name === 'cliOutput' ? body.integer('opRet') : exitCode,
      opErrno: body.integerIfAny('opErrno') ?? 0,
      opErrstr,
      exitCode,
      stderr,
      body,
    };
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    const message = `gluster answered in XML that cannot be read: ${error.message}`;
    throw new GlusterFailed('garbled', message, details, { cause: error });
  }
}

function plainReply(details: {
  command: readonly string[];
  exitCode: number;
  said: string;
  stderr: string;
}): GlusterReply {
  const { said, ...rest } = details;
  const body = new XmlElement('cliOutput', new Map());
  body.ownText = said;
  const done = details.exitCode === 0;
  return { ...rest, opRet: done ? 0 : -1, opErrno: 0, opErrstr: done ? '' : said, body };
}

function kindOfText(said: string): GlusterFailureKind {
  return /connection failed|glusterd? daemon/i.test(said) ? 'noDaemon' : 'text';
}

function textFailure(said: string, exitCode: number): string {
  const words = said === '' ? 'nothing' : firstLine(said);
  return `gluster ended with exit code ${exitCode} and said: ${words}`;
}

function firstLine(text: string): string {
  const line = text.split('\n')[0] ?? '';
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
