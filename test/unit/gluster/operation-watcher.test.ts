import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { pino } from 'pino';
import { HostbusError } from '../../../schemas/errors.ts';
import type { Operation } from '../../../schemas/gluster-operations.ts';
import { parseOperation, parseTasks } from '../../../src/gluster/operation-status.ts';
import { OperationWatcher, type WatcherOptions } from '../../../src/gluster/operation-watcher.ts';
import { savedReply } from '../../lib/gluster-output.ts';
import { until } from '../../lib/until.ts';

const running = parseOperation(savedReply('rebal-running').body, 'd1', []);
const listed = parseTasks(savedReply('tasks-rebal-running').body).operations.map((each) => ({
  ...each,
  operationId: running.operationId,
}));
const inTime = 10_000;
const busy = new HostbusError('GlusterBusy', 'another transaction', {});

/** What a look finds: an operation, or its end; volumes that cannot be asked about. */
interface Found {
  readonly operation?: Operation;
  readonly unheard?: string;
  readonly failure?: HostbusError;
}

const watchers: OperationWatcher[] = [];
after(() => Promise.all(watchers.map((watcher) => watcher.close())));

/** Watches from a host that has started nothing; the last look is repeated. */
function watch(...looks: readonly Found[]): string[] {
  const told: string[] = [];
  let at = -1;
  const now = () => looks[Math.min(at, looks.length - 1)] ?? {};
  const source = {
    list: (_options: unknown, unheard?: Set<string>) => {
      at += 1;
      const { operation, unheard: volume, failure } = now();
      if (failure !== undefined) return Promise.reject(failure);
      if (volume !== undefined && unheard === undefined) return Promise.reject(busy);
      if (volume !== undefined) unheard?.add(volume);
      return Promise.resolve(operation === undefined ? [] : listed);
    },
    ifThere: () => Promise.resolve(now().operation),
    hasBricks: () => Promise.resolve(true),
  };
  const options: WatcherOptions = {
    log: pino({ level: 'silent' }),
    emit: (happening) => told.push(happening.event),
    installed: () => true,
    intervalMs: 5,
    idleIntervalMs: 3_600_000,
  };
  const watcher = new OperationWatcher(source, options);
  watchers.push(watcher);
  watcher.start();
  return told;
}

const hears = (told: string[], ...events: string[]) =>
  until(`${events.join()}`, () => told.join() === events.join(), inTime);

test('The end of an operation that another host has started and stopped', async () => {
  await hears(watch({ operation: running }, {}), 'started', 'stopped');
});

test('Its end is told soon after a look that could not tell how it is', async () => {
  const unknown: Operation = { ...running, status: 'unknown' };
  await hears(watch({ operation: running }, { operation: unknown }, {}), 'started', 'stopped');
});

test('Its end is told after looks that failed', async () => {
  const failure = new HostbusError('GlusterTimeout', 'no answer', {});
  const looks = [{ operation: running }, { failure }, { failure: busy }, { failure }, {}];
  await hears(watch(...looks), 'started', 'stopped');
});

test('While its volume cannot be asked about it has not ended; the end of others is told', async () => {
  const told = watch(
    { operation: running },
    { unheard: running.volume },
    { unheard: running.volume },
    { operation: running },
    {},
  );
  await hears(told, 'started', 'stopped');
  await hears(watch({ operation: running }, { unheard: 'another' }), 'started', 'stopped');
  assert.equal(told.length, 2);
});
