/** One run of `hostbus`: from the words of the command line to the exit status. */
import type { Command, CommanderError } from 'commander';
import { version } from '../lib/version.ts';
import { commands, groups } from './command-list.ts';
import type { CommandSpec } from './command-spec.ts';
import { connectionSettings, connector, maskUrl } from './connection.ts';
import { type Connector, Context } from './context.ts';
import {
  HostDefective,
  ImageDefective,
  Interrupted,
  OperationFailed,
  TaskCancelled,
  TaskFailed,
  UsageError,
} from './errors.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { checkHostId } from './ids.ts';
import type { Invocation } from './invocation.ts';
import { type Io, paint, takesColour } from './io.ts';
import { buildProgram, globalOptions } from './program.ts';
import { errorDocument, interruptionNote, reportOf } from './report-error.ts';
import { printable } from './text.ts';

export interface RunOptions {
  /** Aborted with {@link Interrupted} at Ctrl-C. */
  readonly signal?: AbortSignal;
  /** How to reach the bus. @default the client library */
  readonly connect?: Connector;
}

/**
 * @param words - the command line without the program
 * @returns the exit status; never rejects
 */
export async function run(words: readonly string[], io: Io, options: RunOptions = {}): Promise<number> {
  const state: RunState = { io, words, options, context: undefined, brokers: [] };
  const program = buildProgram(version, (spec, given, raw) => execute(state, spec, given, raw));
  program.configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: () => undefined, // told below, like every other failure
    getOutHelpWidth: () => (io.stdout.isTTY === true ? Math.min(io.stdout.columns ?? 80, 120) : 100),
    getOutHasColors: () => takesColour(io.stdout, io.env, true),
  });
  for (const command of withSubcommands(program)) command.copyInheritedSettings(program).exitOverride();
  try {
    if (words.length === 0) {
      io.stderr.write(program.helpInformation());
      return exitCodes.usage.code;
    }
    await program.parseAsync([...words], { from: 'user' });
    return exitCodes.ok.code;
  } catch (error) {
    return fail(state, error);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

interface RunState {
  readonly io: Io;
  readonly words: readonly string[];
  readonly options: RunOptions;
  context: Context | undefined;
  brokers: readonly string[];
}

async function execute(
  state: RunState,
  spec: CommandSpec,
  given: Invocation,
  raw: Readonly<Record<string, unknown>>,
): Promise<void> {
  const globals = {
    json: given.flag('json'),
    quiet: given.flag('quiet'),
    color: raw.color !== false,
    timeoutMs: given.seconds('timeout'),
  };
  const urls = raw.url;
  const settings = connectionSettings(
    {
      ...(Array.isArray(urls) && { url: urls.map(String) }),
      ...textOption('ca', given),
      ...textOption('cert', given),
      ...textOption('key', given),
    },
    state.io.env,
  );
  state.brokers = settings.urls.map(maskUrl);
  const signal = state.options.signal ?? new AbortController().signal;
  state.context = new Context(state.io, globals, state.options.connect ?? connector(settings), signal);
  for (const { name, kind } of spec.args) {
    const word = kind === 'host' ? given.optionalWord(name) : undefined;
    if (word !== undefined && spec.path[0] !== 'verbs') checkHostId(word);
  }
  const command = await spec.load();
  await command(state.context, given, { commands, groups, globalOptions });
}

function textOption<Name extends string>(name: Name, given: Invocation): { [name in Name]?: string } {
  const value = given.text(name);
  return value === undefined ? {} : ({ [name]: value } as { [name in Name]: string });
}

/** Says what went wrong; answers with the exit status. */
function fail(state: RunState, failure: unknown): number {
  const commander = asCommanderError(failure);
  if (commander && commander.exitCode === 0) return exitCodes.ok.code; // help, version
  const { io, context, words } = state;
  const stopped = state.options.signal?.aborted === true;
  const error = stopped ? state.options.signal?.reason : commander ? usageOf(commander, words) : failure;
  // a wrong command line has no context yet
  const json = context?.options.json ?? words.includes('--json');
  if (error instanceof Interrupted) {
    const note = context && interruptionNote(context.doing);
    if (note !== undefined) io.stderr.write(`\n${printable(note)}\n`);
    return exitCodeOf(error);
  }
  if (json) {
    // what was followed has been printed as it ended, with its error in it; what a check found has been printed, too
    const ends = [TaskFailed, TaskCancelled, OperationFailed, ImageDefective, HostDefective];
    if (ends.some((kind) => error instanceof kind)) return exitCodeOf(error);
    io.stdout.write(`${JSON.stringify(errorDocument(error))}\n`);
    return exitCodeOf(error);
  }
  const { message, hints } = reportOf(error, context?.doing ?? {}, state.brokers);
  const colour = takesColour(io.stderr, io.env, context?.options.color ?? !words.includes('--no-color'));
  const title = colour ? paint('red', 'hostbus:') : 'hostbus:';
  io.stderr.write(`${title} ${printable(message)}\n${hints.map((hint) => `${printable(hint)}\n`).join('')}`);
  return exitCodeOf(error);
}

function asCommanderError(error: unknown): CommanderError | undefined {
  // by its shape: commander itself is not needed for this
  const isCommander =
    error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
  return isCommander ? (error as CommanderError) : undefined;
}

function usageOf(error: CommanderError, words: readonly string[]): UsageError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const path = words.filter((word) => /^[a-z]+(-[a-z]+)*$/.test(word));
  const group = longestGroup(path);
  const command = path.slice(0, group.length + 1).join(' ');
  if (error.code === 'commander.help')
    return new UsageError('a command is missing', [`How it is used: hostbus ${command} --help`]);
  const help = error.code === 'commander.unknownCommand' ? group.join(' ') : command;
  return new UsageError(first, [...rest, `How it is used: hostbus ${help} --help`.replace('  ', ' ')]);
}

/** The words that lead into a group of commands. */
function longestGroup(path: readonly string[]): readonly string[] {
  const end = path.findIndex((_, at) => !Object.hasOwn(groups, path.slice(0, at + 1).join(' ')));
  return path.slice(0, end === -1 ? path.length : end);
}
