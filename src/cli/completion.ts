/** `hostbus completion`: a script that knows the commands, their options and the verbs. It asks no host, so it is always quick. */
import type { ArgumentSpec, Catalogue, CommandSpec, OptionSpec } from './command-spec.ts';
import { bashDriver, candidatesFunction, zshDriver } from './completion-script.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import type { Invocation } from './invocation.ts';
import { listMember, member } from './json.ts';
import { committedVerbs, type VerbDoc } from './openrpc.ts';
import { leaves } from './schema.ts';
import { shellQuote } from './values.ts';

const shells = ['bash', 'zsh'] as const;

export async function completion(context: Context, given: Invocation, catalogue: Catalogue): Promise<void> {
  const shell = shells.find((known) => known === given.word('SHELL'));
  if (!shell)
    throw new UsageError(`there is no completion for '${given.word('SHELL')}': it is either bash or zsh`);
  context.line(completionScript(shell, catalogue, await committedVerbs()));
}

/** The script, for `source` (bash) or a directory of `$fpath` (zsh). */
export function completionScript(
  shell: (typeof shells)[number],
  catalogue: Catalogue,
  verbs: readonly VerbDoc[],
): string {
  const names = verbs.map(({ name }) => name);
  const tables = [
    table('__hostbus_options', optionEntries(catalogue)),
    table('__hostbus_values', valueEntries(catalogue, names)),
    table('__hostbus_words', wordEntries(catalogue, names)),
    table('__hostbus_params', [...paramEntries(verbs)]),
  ].join('\n');
  const [head, driver] =
    shell === 'bash' ? ['# bash completion of hostbus', bashDriver] : ['#compdef hostbus', zshDriver];
  return `${head}\n${tables}\n${candidatesFunction(Object.keys(catalogue.groups))}\n${driver}`;
}

type Entry = readonly [key: string, candidates: readonly string[]];

/** A function that prints the candidates for its one argument, a line each. */
function table(name: string, entries: readonly Entry[]): string {
  const cases = entries
    .filter(([, candidates]) => candidates.length > 0)
    .map(
      ([key, candidates]) =>
        `    ${shellQuote(key)}) printf '%s\\n' ${candidates.map(shellQuote).join(' ')} ;;`,
    );
  return `${name}() {\n  case "$1" in\n${cases.join('\n')}\n    *) return 1 ;;\n  esac\n}`;
}

function optionEntries({ commands, groups, globalOptions }: Catalogue): Entry[] {
  const everywhere = [...globalOptions.map(longName), '--help'];
  return [
    ['', [...everywhere, '--version']],
    ...Object.keys(groups).map((group): Entry => [group, everywhere]),
    ...commands.map((command): Entry => [pathOf(command), [...command.options.map(longName), ...everywhere]]),
  ];
}

/** For each option that takes a value: `path --option`. Those without known values are there with an empty line. */
function valueEntries({ commands, groups, globalOptions }: Catalogue, verbNames: readonly string[]): Entry[] {
  const entriesOf = (path: string, options: readonly OptionSpec[]): Entry[] =>
    options
      .filter(({ flags }) => flags.includes('<'))
      .map((option) => [`${path} ${longName(option)}`, candidatesFor(option, verbNames)]);
  const paths = ['', ...Object.keys(groups), ...commands.map(pathOf)];
  const global = paths.flatMap((path) => entriesOf(path, globalOptions));
  return [...commands.flatMap((command) => entriesOf(pathOf(command), command.options)), ...global];
}

function candidatesFor({ choices, kind }: OptionSpec, verbNames: readonly string[]): readonly string[] {
  if (choices) return choices;
  if (kind === 'method') return verbNames;
  return kind === 'file' ? ['@files'] : [''];
}

/** For each place: `path:place`. */
function wordEntries({ commands, groups }: Catalogue, verbNames: readonly string[]): Entry[] {
  // what may follow the words of a group, a subgroup or a command
  const next = (group: readonly string[]): string[] => {
    const members = commands.filter(({ path }) => group.every((word, at) => path[at] === word));
    return [...new Set(members.map(({ path }) => path[group.length] ?? ''))];
  };
  const subcommands = Object.keys(groups).map((group): Entry => [`${group}:0`, next(group.split(' '))]);
  const top = [...next([]), 'help'];
  const places = commands.flatMap((command) =>
    command.args.map(
      (argument, place): Entry => [`${pathOf(command)}:${place}`, wordsFor(command, argument, verbNames)],
    ),
  );
  return [[':0', top], ['help:0', top], ...subcommands, ...places];
}

function wordsFor(
  command: CommandSpec,
  argument: ArgumentSpec,
  verbNames: readonly string[],
): readonly string[] {
  if (argument.kind === 'shell') return shells;
  // `hostbus verbs` takes a verb in place of the host
  const takesVerb = argument.kind === 'method' || command.path[0] === 'verbs';
  return takesVerb ? verbNames : [];
}

function* paramEntries(verbs: readonly VerbDoc[]): Generator<Entry> {
  for (const { name, params } of verbs) {
    const words = leaves(params).flatMap(({ path, schema }) => {
      const values = schema.type === 'boolean' ? ['true', 'false'] : enumOf(schema);
      return values.length > 0 ? values.map((value) => `${path}=${value}`) : [`${path}=`];
    });
    yield [name, words];
  }
}

function enumOf(schema: VerbDoc['params']): string[] {
  const own = listMember(schema, 'enum');
  const choices = own.length > 0 ? own : listMember(member(schema, 'items'), 'enum');
  return choices.map(String);
}

function pathOf({ path }: CommandSpec): string {
  return path.join(' ');
}

function longName({ flags }: OptionSpec): string {
  return flags.split(' ')[0] ?? flags;
}
