/**
 * A host that does one thing in a storage domain, in a process that can be killed: `storage-child.ts JOB`, the job in JSON.
 * Says `ready` once the domain is connected, and goes on when stdin ends; `answered` when a copy has answered, and at the end
 * `done` or the name of the error.
 */
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageFormat } from '../../schemas/image.ts';
import { createStorage, type StorageTuning } from '../../src/storage/storage.ts';
import type { TaskContext } from '../../src/tasks/task-context.ts';

export interface ChildJob {
  root: string;
  hostId: string;
  bootId: string;
  domainId: string;
  action: 'createDomain' | 'createImage' | 'copyImage' | 'convertImage' | 'continueImageCopy' | 'deleteImage';
  imageId?: string;
  sourceId?: string;
  /** Of `copyImage`. */
  chain?: 'keep' | 'flatten';
  /** Of `convertImage`. */
  format?: ImageFormat;
  tuning?: Partial<StorageTuning>;
}

function parseJob(text: string): ChildJob {
  return JSON.parse(text) as ChildJob;
}

function task<R>(): TaskContext<R> {
  return {
    taskId: 'task-of-child',
    user: undefined,
    flowId: undefined,
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
    answer: () => say('answered'),
    progress: () => {},
    phase: () => {},
  };
}

function say(word: string): void {
  process.stdout.write(`${word}\n`);
}

async function ready(): Promise<void> {
  // The thread of the pool, which only now may begin: it is to be there when the threads are traced.
  await stat('/');
  say('ready');
  await once(process.stdin.resume(), 'end');
}

async function perform(job: ChildJob): Promise<void> {
  const { root, hostId, bootId, domainId, imageId = '', sourceId = '' } = job;
  const options = { hostId, bootId, roots: [root], log: pino({ level: 'silent' }), emit: () => {} };
  const { implementations: verbs } = createStorage(options, job.tuning);
  if (job.action === 'createDomain') {
    await ready();
    await verbs.createStorageDomain({ domainId, path: root }, task());
    return;
  }
  await verbs.connectStorageDomain({ domainId, path: root }, task());
  const target = { domainId, imageId };
  const source = { domainId, imageId: sourceId };
  // Whoever held it before is watched until he is dead.
  if (job.action === 'continueImageCopy') {
    while ((await verbs.getImageStatus(target, task())).status === 'copying') await setImmediate();
  }
  await ready();
  if (job.action === 'deleteImage') await verbs.deleteImage(target, task());
  else if (job.action === 'createImage') {
    await verbs.createImage({ ...target, format: 'raw', capacity: 65536 }, task());
  } else if (job.action === 'continueImageCopy') await verbs.continueImageCopy(target, task());
  else if (job.action === 'convertImage') {
    await verbs.convertImage({ source, target, format: job.format ?? 'raw' }, task());
  } else {
    await verbs.copyImage(
      { source, target, ...(job.chain === undefined ? {} : { chain: job.chain }) },
      task(),
    );
  }
}

try {
  await perform(parseJob(process.argv[2] ?? ''));
  say('done');
} catch (error) {
  if (!(error instanceof HostbusError)) throw error;
  say(error.name);
}
// A copy that came too late has nothing left to do.
process.exit(0);
