/** The manual pages, made from the declarations that help and checks are made from. */
import { commands, groups } from '../../src/cli/command-list.ts';
import type { CommandSpec, OptionSpec } from '../../src/cli/command-spec.ts';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import {
  about,
  argumentWord,
  environment,
  globalOptions,
  optionText,
  sentence,
} from '../../src/cli/program.ts';
import { type ConfigKey, configKeys } from '../../src/daemon/config-keys.ts';
import { exampleConfig } from '../../src/daemon/example-config.ts';
import { help } from '../../src/daemon/main.ts';
import { version } from '../../src/lib/version.ts';
import { bold, example, page, prose, section, subsection, tagged } from './roff.ts';

/** Each page, by its path from the repository's root. */
export function manPages(): Record<string, string> {
  return {
    'packaging/man/hostbus.1': hostbusPage(),
    'packaging/man/hostbusd.8': hostbusdPage(),
    'packaging/man/hostbusd.toml.5': configPage(),
  };
}

const seeAlso = (...pages: readonly string[]) =>
  section('SEE ALSO', pages.map((name) => bold(name)).join(', '));

function hostbusPage(): string {
  return page({ name: 'hostbus', manualSection: 1, version, summary: 'command hosts over the message bus' }, [
    section('SYNOPSIS', `${bold('hostbus')} [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]`),
    section('DESCRIPTION', prose(about)),
    section('OPTIONS', prose('They may stand before or behind the command.'), ...globalOptions.map(optionOf)),
    section('COMMANDS', ...commands.map(commandOf)),
    section('ENVIRONMENT', ...environment.map(([name, meaning]) => tagged(name, meaning))),
    section(
      'EXIT STATUS',
      ...Object.values(exitCodes).map(({ code, meaning }) => tagged(String(code), meaning)),
    ),
    seeAlso('hostbusd(8)', 'hostbusd.toml(5)'),
  ]);
}

function commandOf(spec: CommandSpec): string {
  const title = [
    'hostbus',
    ...spec.path,
    ...spec.args.map((argument) => argumentWord(argument).replaceAll(/[<>]/g, '')),
  ];
  const group = groups[spec.path.slice(0, -1).join(' ')];
  return subsection(
    title.join(' '),
    prose(group === undefined ? sentence(spec.summary) : `${sentence(spec.summary)} (${group})`),
    ...(spec.details === undefined ? [] : ['.PP', prose(spec.details)]),
    ...spec.args.map(({ name, description }) => tagged(name, description)),
    ...spec.options.map(optionOf),
    example(spec.examples.flatMap(({ line, says }) => [`# ${says}`, line])),
  );
}

function optionOf(option: OptionSpec): string {
  return tagged(option.flags.replaceAll(/[<>]/g, ''), optionText(option));
}

/** What `hostbusd --help` says: a summary, usage, options, then paragraphs, each with lines to type indented below it. */
function hostbusdPage(): string {
  const [first = '', usage = '', options = '', ...rest] = help.trim().split('\n\n');
  const summary = first.replace(/^hostbusd \S+: /, '');
  return page({ name: 'hostbusd', manualSection: 8, version, summary }, [
    section('SYNOPSIS', bold(usage.replace('Usage: ', ''))),
    section(
      'OPTIONS',
      ...options.split('\n').map((line) => {
        const [, flags = '', text = ''] = /^ {2}(\S+(?: \S+)*) {2,}(.*)$/.exec(line) ?? [];
        return tagged(flags, text);
      }),
    ),
    section('DESCRIPTION', ...rest.flatMap((text) => ['.PP', ...paragraph(text)])),
    section(
      'FILES',
      tagged('/etc/hostbus/hostbusd.toml', 'The configuration that the unit names: see hostbusd.toml(5).'),
      tagged(
        '/etc/hostbus/hostbusd.env',
        'Variables that come before it: secrets belong here, mode 0640 or less.',
      ),
    ),
    seeAlso('hostbus(1)', 'hostbusd.toml(5)'),
  ]);
}

function paragraph(text: string): string[] {
  const lines = text.split('\n');
  const typed = lines.filter((line) => line.startsWith('  '));
  const said = lines.filter((line) => !line.startsWith('  ')).join(' ');
  return [prose(said), ...(typed.length > 0 ? [example(typed.map((line) => line.trim()))] : [])];
}

function configPage(): string {
  return page({ name: 'hostbusd.toml', manualSection: 5, version, summary: 'configuration of hostbusd' }, [
    section(
      'DESCRIPTION',
      prose(
        'TOML. Each key can also be set by the environment variable that is named with it, which comes before the file. `hostbusd --print-config` shows what is in force. Unknown keys, wrong types and ranges are refused.',
      ),
    ),
    section('KEYS', ...configKeys.map(keyOf)),
    section('EXAMPLE', example(exampleConfig().trimEnd().split('\n'))),
    seeAlso('hostbus(1)', 'hostbusd(8)'),
  ]);
}

function keyOf({ path, variable, schema, required }: ConfigKey): string {
  const values = schema.enum === undefined ? (schema.type ?? 'value') : schema.enum.join(', ');
  const bounds = [
    schema.minimum === undefined ? undefined : `at least ${schema.minimum}`,
    schema.maximum === undefined ? undefined : `at most ${schema.maximum}`,
  ].filter((bound) => bound !== undefined);
  const initial = schema.default === undefined ? [] : [`default: ${JSON.stringify(schema.default)}`];
  const facts = [required ? 'required' : undefined, [values, ...bounds].join(', '), ...initial, variable];
  const text = `${schema.description ?? ''}. (${facts.filter((fact) => fact !== undefined).join('; ')})`;
  return tagged(path.join('.'), text);
}
