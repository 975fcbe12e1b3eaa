/** How a command is declared: help, completion, parsing, documents and tests all come from the declaration. */
import type { Context } from './context.ts';
import type { Invocation } from './invocation.ts';

/** What a word of the command line is, for completion. */
export type WordKind = 'host' | 'method' | 'params' | 'shell' | 'file' | 'text';

export interface ArgumentSpec {
  /** In capitals, as the help shows it. */
  readonly name: string;
  readonly description: string;
  /** @default true */
  readonly required?: boolean;
  /** Takes the rest of the line. */
  readonly rest?: boolean;
  readonly kind?: WordKind;
}

export interface OptionSpec {
  /** As commander takes them: `--id <ID>`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** Choices are only offered, never demanded. */
  readonly open?: boolean;
  /** May be given again. */
  readonly repeatable?: boolean;
  readonly kind?: WordKind;
}

export interface Example {
  /** A line for a POSIX shell that works as it stands, where a host h1 serves /srv/images. */
  readonly line: string;
  readonly says: string;
  /** It goes on until Ctrl-C. */
  readonly endless?: boolean;
}

/** All that the command line takes, for the command that tells a shell. */
export interface Catalogue {
  readonly commands: readonly CommandSpec[];
  /** What each group of commands is about. */
  readonly groups: Readonly<Record<string, string>>;
  readonly globalOptions: readonly OptionSpec[];
}

export type Run = (context: Context, given: Invocation, catalogue: Catalogue) => Promise<void>;

export interface CommandSpec {
  /** `['image', 'copy']`. */
  readonly path: readonly [string, ...string[]];
  /** One line. */
  readonly summary: string;
  /** More, below the usage. */
  readonly details?: string;
  readonly args: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  readonly examples: readonly Example[];
  /** Loads the command's own file: only the one that runs is ever loaded. */
  load(): Promise<Run>;
}

export const hostArgument: ArgumentSpec = { name: 'HOST', description: 'ID of the host', kind: 'host' };
export const idOption: OptionSpec = {
  flags: '--id <ID>',
  description:
    'task ID, chosen by you: while a host has a task of that ID it refuses a second (default: a new one)',
};
export const followOption: OptionSpec = {
  flags: '--follow',
  description: 'stay until the task has ended, showing its progress',
};
