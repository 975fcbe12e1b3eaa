#!/usr/bin/env node
/** Command line around definitions.ts: writes what RabbitMQ loads, and the passwords, which exist nowhere else. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeDefinitions } from './definitions.ts';

const HELP = `Makes RabbitMQ definitions for hostbus: exchanges, users, least permissions, policies.

Usage: node rabbitmq/make-definitions.ts --host ID [--host ID …] [options]

  --host ID          a host; its user is hostbus-ID. May be repeated, as the next three
  --engine USER      may send requests, read the answers, and watch events
  --subscriber USER  may only watch events
  --admin USER       may do anything; for operators
  --vhost NAME       virtual host (default /)
  --topic-replies    engines may have answers sent through amq.topic and amq.direct
  --without-passwords  users can log in by client certificate only
  --out DIR          write DIR/definitions.json and DIR/passwords.json (both mode 0600). Passwords that are
                     there already are kept, so hosts can be added later; remove a line to get a new one.
                     Without --out: definitions to standard output, passwords to standard error
  -h, --help

Passwords are random and new; there is no default one. Then, on the broker:

  install -o rabbitmq -g rabbitmq -m 0600 DIR/definitions.json /etc/rabbitmq/definitions.json
  rabbitmqctl import_definitions /etc/rabbitmq/definitions.json

Example: node rabbitmq/make-definitions.ts --host h1 --host h2 --engine engine --subscriber dashboard --out broker-secrets
`;

const EX_USAGE = 64;
const PASSWORDS_FILE = 'passwords.json';

function main(): number {
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions();
  } catch (error) {
    return complain(error, EX_USAGE);
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    write(options);
    return 0;
  } catch (error) {
    return complain(error, error instanceof RangeError ? EX_USAGE : 1);
  }
}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', multiple: true },
      engine: { type: 'string', multiple: true },
      subscriber: { type: 'string', multiple: true },
      admin: { type: 'string', multiple: true },
      vhost: { type: 'string', default: '/' },
      'topic-replies': { type: 'boolean', default: false },
      'without-passwords': { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (!values.help && values.host === undefined)
    throw new RangeError('give at least one --host (see --help)');
  return values;
}

function complain(error: unknown, exitCode: number): number {
  process.stderr.write(`make-definitions: ${error instanceof Error ? error.message : String(error)}\n`);
  return exitCode;
}

function write(options: ReturnType<typeof parseOptions>): void {
  const { definitions, passwords } = makeDefinitions({
    hosts: options.host ?? [],
    engines: options.engine ?? [],
    subscribers: options.subscriber ?? [],
    admins: options.admin ?? [],
    vhost: options.vhost,
    topicReplies: options['topic-replies'],
    withoutPasswords: options['without-passwords'],
    passwords: options.out === undefined ? {} : readPasswords(join(options.out, PASSWORDS_FILE)),
  });
  const text = `${JSON.stringify(definitions, null, 2)}\n`;
  const secrets = `${JSON.stringify(passwords, null, 2)}\n`;
  if (options.out === undefined) {
    process.stdout.write(text);
    if (!options['without-passwords']) process.stderr.write(`passwords, shown this once:\n${secrets}`);
    return;
  }
  mkdirSync(options.out, { recursive: true, mode: 0o700 });
  // First the passwords: definitions whose passwords nobody knows would be of no use.
  if (!options['without-passwords']) writePrivately(join(options.out, PASSWORDS_FILE), secrets);
  writePrivately(join(options.out, 'definitions.json'), text);
  process.stderr.write(`wrote definitions.json and ${PASSWORDS_FILE} (mode 0600) to ${options.out}\n`);
}

function readPasswords(file: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which is secret.
    throw new Error(`${file} is not JSON: correct it, or remove it to get new passwords`);
  }
  const entries = parsed !== null && typeof parsed === 'object' ? Object.entries(parsed) : [];
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Old or new after a crash, never half; never readable by others, not even for a moment. */
function writePrivately(file: string, text: string): void {
  const temporary = `${file}.new`;
  writeFileSync(temporary, text, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, file);
}

process.exitCode = main();
