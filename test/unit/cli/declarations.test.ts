import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DomainId, hostIdPattern as declaredHostId } from '../../../schemas/common.ts';
import { errorTable, HostbusError } from '../../../schemas/errors.ts';
import { eventNames } from '../../../schemas/events.ts';
import { imageFormats as declaredFormats } from '../../../schemas/image.ts';
import { taskStates as declaredStates } from '../../../schemas/task.ts';
import { commands, groups } from '../../../src/cli/command-list.ts';
import { exitCodeOf, exitCodes } from '../../../src/cli/exit-codes.ts';
import {
  eventKinds,
  eventWords,
  hostIdPattern,
  imageFormats,
  taskStates,
  uuidPattern,
} from '../../../src/cli/ids.ts';
import { globalOptions } from '../../../src/cli/program.ts';
import * as failures from '../../../src/client/errors.ts';
import { runFake } from './fake-bus.ts';

const docs = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
const program = fileURLToPath(new URL('../../../src/bin/hostbus.ts', import.meta.url));
const run = promisify(execFile);

test('The names and patterns that are written down again equal the contract', () => {
  assert.equal(hostIdPattern.source, declaredHostId);
  assert.equal(uuidPattern.source, 'pattern' in DomainId ? DomainId.pattern : undefined);
  assert.deepEqual(taskStates, declaredStates);
  assert.deepEqual(imageFormats, declaredFormats);
  assert.deepEqual(eventKinds, Object.keys(eventNames));
  assert.deepEqual(eventWords, [...new Set(Object.values(eventNames).flat())]);
});

test('Every failure of the client library has an exit status of its own kind', () => {
  const codeOf = (name: string, ...given: unknown[]) => {
    const Failure = Object.entries(failures).find(([key]) => key === name)?.[1];
    assert.ok(Failure, name);
    return exitCodeOf(Reflect.construct(Failure, given));
  };
  assert.deepEqual(
    Object.keys(failures)
      .sort()
      .map((name) => [name, codeOf(name, 'h1', 't1')]),
    [
      ['BrokerRefused', exitCodes.broker.code],
      ['CallTimeout', exitCodes.timeout.code],
      ['ConnectionClosed', exitCodes.broker.code],
      ['HostUnreachable', exitCodes.hostUnreachable.code],
      ['OperationTimeout', exitCodes.timeout.code],
      ['OutcomeUnknown', exitCodes.outcomeUnknown.code],
    ],
  );
  for (const name of Object.keys(errorTable) as (keyof typeof errorTable)[])
    assert.equal(exitCodeOf(new HostbusError(name, 'x')), name === 'Cancelled' ? 7 : 1);
});

test('Exit statuses are told apart, in help and docs as in code', async () => {
  const codes = Object.values(exitCodes);
  assert.equal(new Set(codes.map(({ code }) => code)).size, codes.length);
  const { stdout } = await runFake(['--help']);
  for (const { code, meaning } of codes) {
    assert.match(stdout, new RegExp(`^ +${code} {2}${meaning}`, 'm'));
    assert.ok(docs.includes(`| ${code} | ${meaning} |`), `docs/cli.md: ${code}`);
  }
});

test('Every command has an example, and help and docs show its examples and options', async () => {
  for (const { path, summary, options, examples } of commands) {
    assert.ok(examples.length > 0, path.join(' '));
    const { code, stdout } = await runFake([...path, '--help']);
    assert.equal(code, 0);
    for (const { line } of examples) {
      assert.ok(stdout.includes(`  ${line}\n`), line);
      assert.ok(docs.includes(line), `docs/cli.md: ${line}`);
    }
    assert.ok(docs.includes(`\`hostbus ${path.join(' ')}`), `docs/cli.md: ${path.join(' ')}`);
    for (const { flags } of options) {
      assert.ok(stdout.includes(flags), flags);
      assert.ok(docs.includes(flags.split(' ')[0] ?? flags), `docs/cli.md: ${flags}`);
    }
    assert.ok(stdout.toLowerCase().includes(summary.slice(0, 40).toLowerCase()));
  }
  for (const { flags } of globalOptions) assert.ok(docs.includes(`\`${flags}\``), `docs/cli.md: ${flags}`);
});

test('Help shows each group of commands, and each of its members', async () => {
  for (const group of Object.keys(groups)) {
    const { code, stdout } = await runFake([...group.split(' '), '--help']);
    assert.equal(code, 0);
    for (const { path, summary } of commands.filter(({ path }) => path.slice(0, -1).join(' ') === group)) {
      assert.match(stdout, new RegExp(`^ {2}${path.at(-1)} `, 'm'));
      assert.ok(stdout.replaceAll(/\s+/g, ' ').includes(summary), summary);
    }
  }
});

test('Help, version and what needs no host load neither the schema library nor the bus', async () => {
  const recorder = `
    import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`;
  const hook = `data:text/javascript,${encodeURIComponent(recorder)}`;
  for (const words of [
    ['--help'],
    ['--version'],
    ['image', 'copy', '--help'],
    ['verbs', 'copyImage'],
    ['completion', 'bash'],
  ]) {
    const { stderr } = await run(process.execPath, ['--import', hook, program, ...words]);
    assert.match(stderr, /src\/cli\/main\.ts/);
    const heavy = stderr
      .split('\n')
      .filter((url) => /node_modules\/(?!commander)|src\/(bus|client\/client)/.test(url));
    assert.deepEqual(heavy, [], words.join(' '));
  }
});
