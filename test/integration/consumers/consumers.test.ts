/** Consumers of events that outgrow one process: a quorum queue that several share, one that keeps the order, a stream. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import amqp, { type Channel, type ChannelModel } from 'amqplib';
import { makeDefinitions } from '../../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import { type Client, connect } from '../../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { until } from '../../lib/until.ts';
import { type Noted, readNoted } from './noted.ts';

const hostIds = ['h1', 'h2'];
/** How many events one consumer of shared-queue.ts holds. */
const prefetch = 20;
const { definitions, passwords } = makeDefinitions({
  hosts: hostIds,
  engines: ['engine'],
  subscribers: ['archive'],
});
const dir = mkdtempSync(join(tmpdir(), 'consumers-'));
const consumers = new Set<ChildProcess>();
process.on('exit', () => {
  for (const consumer of consumers) consumer.kill('SIGKILL');
});

describe('consumers of events', () => {
  let broker: PrivateBroker;
  let daemons: TestDaemon[] = [];
  let client: Client;
  let archive: ChannelModel;
  let channel: Channel;
  const urlOf = (user: string) => broker.urlFor(user, passwords[user] ?? '');

  before(async () => {
    broker = await startPrivateBroker({ definitions });
    const env = { HOSTBUS_EVENTS_HEARTBEAT: '1h', HOSTBUS_LOG_LEVEL: 'info' };
    daemons = await Promise.all(
      hostIds.map((hostId) =>
        startDaemon({ hostId, brokerUrl: urlOf(`hostbus-${hostId}`), env, testVerbs: true }),
      ),
    );
    client = await connect(urlOf('engine'));
    archive = await amqp.connect(urlOf('archive'));
    channel = await archive.createChannel();
  });
  after(async () => {
    for (const consumer of consumers) consumer.kill('SIGKILL');
    await client?.close();
    await archive?.close();
    await Promise.all(daemons.map((daemon) => daemon.kill()));
    await broker?.stop();
    rmSync(dir, { recursive: true });
  });

  /** Starts a consumer's program as the user `archive`; resolves when it consumes. */
  async function consume(program: string, ...args: string[]): Promise<ChildProcess> {
    const file = join(import.meta.dirname, program);
    const child = spawn(process.execPath, [file, urlOf('archive'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    consumers.add(child);
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`${program} ended with ${code}`))),
    ]);
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    consumers.delete(child);
  }

  /** How many events each host has told; the first is that of its start. */
  let told = 1;

  /** Tasks on each host, which it tells of by two events each; returns the last sequence number, which is the same for all. */
  async function cause(tasks: number): Promise<number> {
    told += 2 * tasks;
    const all = hostIds.map(async (hostId) => {
      const host = client.host(hostId);
      for (let i = 0; i < tasks; i += 1) await host.notify('work' as 'ping', { ms: 0 } as never);
      await until('all is told', async () => (await host.call('getHostStats', {})).events.published === told);
    });
    await Promise.all(all);
    return told;
  }

  const sequencesOf = (noted: readonly Noted[], hostId: string) =>
    noted.filter((one) => one.hostId === hostId).map(({ sequence }) => sequence);
  const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  /** What is missing after one sequence number, up to another, of all hosts. */
  const lost = (noted: readonly Noted[], after: number, to: number) =>
    hostIds.flatMap((hostId) => {
      const seen = new Set(sequencesOf(noted, hostId));
      return upTo(after + 1, to).filter((sequence) => !seen.has(sequence));
    });

  test('A queue that is kept takes a policy before that of event queues, which would empty and remove it.', async () => {
    const pattern = '^hostbus\\.events\\.archive\\.';
    const bound = '{"max-length": 10000000}';
    await broker.ctl('set_policy', '--apply-to', 'queues', '--priority', '1', 'archive', pattern, bound);
    await channel.assertQueue('hostbus.events.archive.kept', {
      durable: true,
      arguments: { 'x-queue-type': 'quorum' },
    });
    await channel.assertQueue('hostbus.events.archive.stream', {
      durable: true,
      arguments: { 'x-queue-type': 'stream' },
    });
    const listed = await broker.ctl('list_queues', '--silent', 'name', 'policy');
    assert.match(listed, /^hostbus\.events\.archive\.kept\tarchive$/m);
    assert.match(listed, /^hostbus\.events\.archive\.stream\t$/m, 'a stream has none of them');
  });

  test('Several share a quorum queue; what one of them had taken when it was killed, others do.', async () => {
    const queue = 'hostbus.events.archive.work';
    const file = join(dir, 'work');
    const stuck = await consume('shared-queue.ts', queue, '#', file);
    const from = await cause(5);
    await until('it works', () => readNoted(file).length === 10 * hostIds.length);
    const others = await Promise.all([1, 2].map(() => consume('shared-queue.ts', queue, '#', file)));
    stuck.kill('SIGSTOP');
    const to = await cause(150);
    await until('the others have done theirs', () => lost(readNoted(file), from, to).length <= prefetch);
    await until('nothing waits', async () => (await channel.checkQueue(queue)).messageCount === 0);
    assert.ok(lost(readNoted(file), from, to).length > 0, 'the stopped one holds some');
    await kill(stuck);
    await until('nothing is lost', () => lost(readNoted(file), from, to).length === 0);
    const noted = readNoted(file);
    const ids = noted.map(({ bootId, sequence }) => `${bootId} ${sequence}`);
    const repeated = noted.filter((_one, i) => ids.indexOf(ids[i] ?? '') < i);
    assert.ok(
      repeated.every(({ redelivered }) => redelivered),
      'what may have been done before is marked',
    );
    assert.deepEqual(new Set(noted.map(({ pid }) => pid)), new Set([stuck, ...others].map(({ pid }) => pid)));
    await Promise.all(others.map(kill));
  });

  test("With a single active consumer a host's events stay in order, across the death of one.", async () => {
    const queue = 'hostbus.events.archive.h1';
    const file = join(dir, 'h1');
    const first = await consume('shared-queue.ts', queue, 'h1.#', file, 'single');
    const second = await consume('shared-queue.ts', queue, 'h1.#', file, 'single');
    await cause(10);
    await until('the first has worked', () => readNoted(file).length === 20);
    first.kill('SIGSTOP');
    const last = await cause(140);
    await kill(first); // with as many as its prefetch on their way to it
    await until('the last is there', () => sequencesOf(readNoted(file), 'h1').includes(last));
    const noted = readNoted(file);
    const sequences = [...new Set(sequencesOf(noted, 'h1'))];
    assert.deepEqual(sequences, upTo(sequences[0] ?? 0, last));
    assert.equal(sequences.length, 300);
    const pids = noted.map(({ pid }) => pid);
    assert.deepEqual(new Set(pids), new Set([first.pid, second.pid]));
    assert.equal(
      pids.lastIndexOf(first.pid ?? 0) < pids.indexOf(second.pid ?? 0),
      true,
      'one after the other',
    );
    await kill(second);
  });

  test('A stream is read on where its killed reader was, and the sequence tells what is missing.', async () => {
    const queue = 'hostbus.events.archive.log';
    const file = join(dir, 'log');
    const reader = await consume('event-stream.ts', queue, '#', file);
    await cause(10);
    const readBefore = 20 * hostIds.length;
    await until('it has read', () => readNoted(file).length === readBefore);
    reader.kill('SIGSTOP');
    const last = await cause(140);
    await kill(reader); // with as many as its prefetch on their way to it
    const next = await consume('event-stream.ts', queue, '#', file);
    await until('all is read', () => readNoted(file).length >= 600);
    const noted = readNoted(file);
    assert.deepEqual(
      noted.map(({ offset }) => offset),
      upTo(0, 599),
      'each once',
    );
    assert.deepEqual(
      noted.map(({ pid }) => pid),
      noted.map((_one, i) => (i < readBefore ? reader : next).pid),
    );
    for (const hostId of hostIds) {
      assert.deepEqual(sequencesOf(noted, hostId), upTo(last - 299, last));
    }
    assert.deepEqual(
      noted.filter(({ missing }) => missing !== 0),
      [],
    );

    await channel.unbindQueue(queue, 'hostbus.events', '#');
    await cause(4);
    await channel.bindQueue(queue, 'hostbus.events', '#');
    await cause(1);
    await until('the next are read', () => readNoted(file).length === 604);
    assert.deepEqual(
      readNoted(file)
        .filter(({ missing }) => missing !== 0)
        .map(({ hostId, missing }) => [hostId, missing])
        .sort(),
      [
        ['h1', 8],
        ['h2', 8],
      ],
    );
    await kill(next);
  });
});
