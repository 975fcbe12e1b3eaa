/** The commander program, made from the declarations. */
import { Command, Option } from 'commander';
import { commands, groups } from './command-list.ts';
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';
import { UsageError } from './errors.ts';
import { exitCodeLines } from './exit-codes.ts';
import { Invocation } from './invocation.ts';

export type Execute = (
  spec: CommandSpec,
  given: Invocation,
  options: Readonly<Record<string, unknown>>,
) => Promise<void>;

/** Options that every command takes; they may stand before or behind it. */
export const globalOptions: readonly OptionSpec[] = [
  {
    flags: '--url <URL>',
    description:
      'the broker, amqp:// or amqps://; several for a cluster. Others see a password given here: prefer HOSTBUS_URL',
    repeatable: true,
  },
  {
    flags: '--ca <FILE>',
    description: 'certificate authorities for amqps://, PEM (HOSTBUS_TLS_CA)',
    kind: 'file',
  },
  { flags: '--cert <FILE>', description: 'client certificate, PEM (HOSTBUS_TLS_CERT)', kind: 'file' },
  { flags: '--key <FILE>', description: 'its key, PEM (HOSTBUS_TLS_KEY)', kind: 'file' },
  { flags: '--timeout <SECONDS>', description: 'how long to wait for an answer (default: 30)' },
  { flags: '--json', description: 'exact JSON on standard output, one document a line; errors too' },
  { flags: '--quiet', description: 'print results and errors only' },
  { flags: '--no-color', description: 'no colours (also: NO_COLOR); there are none unless on a terminal' },
];

export const about = 'Command hosts over the message bus: call their verbs, watch their tasks and events.';

/** Variables that every command looks at. */
export const environment: readonly (readonly [name: string, meaning: string])[] = [
  ['HOSTBUS_URL', 'the broker (else HOSTBUS_BROKER_URL, else amqp://localhost); commas between several'],
  ['HOSTBUS_TLS_CA', 'certificate authorities for amqps://, PEM'],
  ['HOSTBUS_TLS_CERT', 'client certificate, PEM'],
  ['HOSTBUS_TLS_KEY', 'its key, PEM'],
  ['HOSTBUS_TLS_PASSPHRASE', 'passphrase of the key'],
  ['NO_COLOR', 'no colours'],
];

const overview = `
Environment:
${environment.map(([name, meaning]) => `  ${name.padEnd(24)}${meaning}`).join('\n')}

Exit status:
${exitCodeLines().join('\n')}

Examples:
  hostbus hosts                              # who is there?
  hostbus call h1 getHostInfo                # ask a host
  hostbus verbs copyImage                    # what does a verb take?
  hostbus image copy --help                  # more, with examples, of each command`;

export function buildProgram(version: string, execute: Execute): Command {
  const program = new Command('hostbus')
    .description(about)
    .version(version)
    .helpCommand('help [command...]', 'show the help of a command')
    .addHelpText('after', overview)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .exitOverride();
  addOptions(program, globalOptions);
  const parents = new Map<string, Command>();
  for (const spec of commands) {
    addCommand(group(program, parents, spec.path.slice(0, -1)), spec, execute);
  }
  return program;
}

function group(program: Command, parents: Map<string, Command>, path: readonly string[]): Command {
  const last = path.at(-1);
  if (last === undefined) return program;
  const name = path.join(' ');
  const known = parents.get(name);
  if (known) return known;
  const made = group(program, parents, path.slice(0, -1))
    .command(last)
    .description(groups[name] ?? '')
    .helpCommand(false);
  parents.set(name, made);
  return made;
}

/** How an argument is written: `HOST`, `[METHOD]`, `[PARAMS...]`. */
export function argumentWord({ name, required = true, rest = false }: ArgumentSpec): string {
  const word = rest ? `${name}...` : name;
  return required ? `<${word}>` : `[${word}]`;
}

function addCommand(parent: Command, spec: CommandSpec, execute: Execute): void {
  const command = parent.command(spec.path.at(-1) ?? '').summary(spec.summary);
  command.description(sentence(spec.summary) + (spec.details === undefined ? '' : `\n\n${spec.details}`));
  for (const argument of spec.args) command.argument(argumentWord(argument), argument.description);
  addOptions(command, spec.options);
  const lines = spec.examples.map(({ line, says }) => `  # ${says}\n  ${line}`);
  command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
  command.action(async (...all: unknown[]) => {
    const words = new Map<string, string | readonly string[]>();
    for (const [index, { name }] of spec.args.entries()) {
      const value = all[index];
      if (typeof value === 'string') words.set(name, value);
      else if (Array.isArray(value)) words.set(name, value.map(String));
    }
    const options: Record<string, unknown> = command.optsWithGlobals();
    await execute(spec, new Invocation(words, options), options);
  });
}

export function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

function addOptions(command: Command, specs: readonly OptionSpec[]): void {
  for (const { flags, description, choices, open = false, repeatable = false } of specs) {
    const option = new Option(flags, optionText({ flags, description, ...(choices && { choices }), open }));
    if (repeatable) {
      option.argParser((value: string, before: readonly string[] | undefined) => {
        if (choices) for (const item of value.split(',')) checkChoice(flags, item, choices);
        return [...(before ?? []), value];
      });
    } else if (choices && !open) option.argParser((value: string) => checkChoice(flags, value, choices));
    command.addOption(option);
  }
}

/** What help says of an option. */
export function optionText({ description, choices, open = false }: OptionSpec): string {
  return choices && !open ? `${description}: ${choices.join(', ')}` : description;
}

function checkChoice(flags: string, value: string, choices: readonly string[]): string {
  if (!choices.includes(value))
    throw new UsageError(`${flags}: '${value}' is not one of ${choices.join(', ')}`);
  return value;
}
