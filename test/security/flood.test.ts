/** One user sends as fast as the broker takes it; what another one asks is answered meanwhile. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { type Client, connect, type Host } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const { definitions, passwords } = makeDefinitions({ hosts: ['h1'], engines: ['greedy', 'modest'] });
const root = mkdtempSync(join(tmpdir(), 'hostbus-flood-'));
const domainId = randomUUID();
const tasksMax = 500;
let broker: PrivateBroker;
let daemon: TestDaemon;
let client: Client;
let h1: Host;

before(async () => {
  broker = await startPrivateBroker({ definitions });
  daemon = await startDaemon({
    hostId: 'h1',
    brokerUrl: urlOf('hostbus-h1'),
    testVerbs: true,
    env: {
      HOSTBUS_ACCESS_USERS: 'greedy=write,modest=admin',
      HOSTBUS_STORAGE_ROOTS: root,
      HOSTBUS_TASKS_MAX: String(tasksMax),
      // What bounds the wait: small, so that the test is quick.
      HOSTBUS_RPC_MAX_REQUEST_BYTES: '131072',
      HOSTBUS_BROKER_QUEUE_MAX_LENGTH: '200',
      HOSTBUS_BROKER_PREFETCH: '32',
    },
  });
  client = await connect(urlOf('modest'));
  h1 = client.host('h1');
  await h1.call('createStorageDomain', { domainId, path: root });
  await h1.callUntyped('work', { ms: 0 }, { taskId: 'ended' });
  await h1.notify('work' as 'ping', { ms: 3_600_000 } as never);
});
after(async () => {
  await client?.close();
  await daemon?.kill();
  await broker?.stop();
  rmSync(root, { recursive: true });
});

function urlOf(user: string): string {
  return broker.urlFor(user, passwords[user] ?? '');
}

async function flooded<T>(kind: string, use: () => Promise<T>): Promise<T> {
  const program = join(import.meta.dirname, 'flooder.ts');
  const flooder = spawn(process.execPath, [program, urlOf('greedy'), kind, domainId], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: flooder.stdout });
  const counts = async () => {
    flooder.stdin.write('\n');
    const [line] = (await once(lines, 'line')) as [string];
    const [sent = 0, answered = 0] = line.split(' ').map(Number);
    return { sent, answered };
  };
  try {
    await until('it floods', async () => (await counts()).sent > 50);
    const before = await counts();
    const result = await use();
    await until('it still floods', async () => (await counts()).sent > before.sent);
    return result;
  } finally {
    flooder.kill('SIGKILL');
    await once(flooder, 'exit');
  }
}

/** Queries of every sort: those that are answered from memory, that wait, and that look at storage in a lane. */
async function ask(): Promise<void> {
  const rounds = Array.from({ length: 3 }, () => [
    h1.call('ping', {}),
    h1.call('getTaskStatus', { taskId: 'ended' }),
    h1.call('waitTask', { taskId: 'ended' }),
    h1.call('listImages', { domainId }),
  ]);
  await Promise.all(rounds.flat());
}

describe('while one user floods the host, the queries of another are all answered', () => {
  const kinds = ['pings', 'one ID', 'tasks', 'waits', 'looks', 'huge', 'deep', 'nonsense'];
  for (const kind of kinds) test(`a flood of ${kind}`, () => flooded(kind, ask));

  test('with as many tasks and waits of the first user as there may be, the other works, too', async () => {
    await flooded('tasks', async () => {
      const full = async () => (await h1.call('getHostStats', {})).tasks.running >= tasksMax;
      await until('the table is full', full);
      const work = () =>
        h1.callUntyped('work', { ms: 0 }).catch((error: Error) => assert.equal(error.name, 'Overloaded'));
      // The broker's queue may be full, too: what changes something is then refused, and sent again by whoever wants it.
      await until('a task of the other is taken', async () => (await work()) !== undefined);
    });
  });
});
