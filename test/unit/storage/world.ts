/** A storage of a real host on a real directory, with tasks that a test drives. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { type ErrorName, HostbusError } from '../../../schemas/errors.ts';
import type { Happening } from '../../../schemas/events.ts';
import { removeTree } from '../../../src/lib/atomic-file.ts';
import {
  createStorage,
  type Storage,
  type StorageOptions,
  type StorageTuning,
} from '../../../src/storage/storage.ts';
import type { TaskContext } from '../../../src/tasks/task-context.ts';

export interface TestHost {
  storage: Storage;
  verbs: Storage['implementations'];
  happenings: Happening[];
  /** `image.copying`, `domain.up` … in their order. */
  events(): string[];
}

/** A directory that is gone after the test. */
export async function scratch(t: TestContext): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'hostbus-storage-')));
  t.after(() => removeTree(directory));
  return directory;
}

export function host(
  t: TestContext,
  root: string,
  options: {
    hostId?: string;
    bootId?: string;
    roots?: string[];
    tuning?: Partial<StorageTuning>;
    /** Tasks of the host's own. */
    startTask?: StorageOptions['startTask'];
  } = {},
): TestHost {
  const happenings: Happening[] = [];
  const storage = createStorage(
    {
      hostId: options.hostId ?? 'h1',
      bootId: options.bootId ?? 'boot-1',
      roots: options.roots ?? [root],
      log: pino({ level: process.env.TEST_LOG ?? 'silent' }),
      emit: (happening) => happenings.push(happening),
      ...(options.startTask === undefined ? {} : { startTask: options.startTask }),
    },
    options.tuning,
  );
  t.after(() => storage.close());
  return {
    storage,
    verbs: storage.implementations,
    happenings,
    events: () => happenings.map(({ kind, event }) => `${kind}.${event}`),
  };
}

/** Makes a domain in `root`, connected by the host. */
export async function domainOf(on: TestHost, root: string): Promise<string> {
  const domainId = randomUUID();
  await on.verbs.createStorageDomain({ domainId, path: root }, task());
  return domainId;
}

export type TestTask<R> = TaskContext<R> & {
  answers: R[];
  phases: string[];
  reports: { done: number; total: number; unit: string }[];
  cancel(): void;
};

/** A task as the daemon would make it. `onProgress` is called at each report. */
export function task<R>(options: { taskId?: string; onProgress?: (done: number) => void } = {}): TestTask<R> {
  const controller = new AbortController();
  const taskId = options.taskId ?? randomUUID();
  const answers: R[] = [];
  const phases: string[] = [];
  const reports: TestTask<R>['reports'] = [];
  return {
    taskId,
    user: undefined,
    flowId: 'flow',
    signal: controller.signal,
    log: pino({ level: process.env.TEST_LOG ?? 'silent' }),
    answer: (result) => answers.push(result),
    progress: (done, total, unit) => {
      reports.push({ done, total, unit });
      options.onProgress?.(done);
    },
    phase: (name) => phases.push(name),
    answers,
    phases,
    reports,
    cancel: () => controller.abort(new HostbusError('Cancelled', 'Cancelled by the test', { taskId })),
  };
}

/** The same task with nothing of its own, as a live one has its members from its class: copying them would lose them. */
export function inheriting<R>(work: TestTask<R>): TestTask<R> {
  return Object.create(work) as TestTask<R>;
}

/** Asserts that work fails with this error, and returns it. */
export async function refused(name: ErrorName, work: unknown): Promise<HostbusError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof HostbusError, `an error of another kind: ${String(error)}`);
    assert.equal(error.name, name, error.message);
    return error;
  }
  throw new assert.AssertionError({ message: `it did not fail with ${name}` });
}

/** Waits until a condition holds, and fails after ten seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new assert.AssertionError({ message: `not in time: ${what}` });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const mebibyte = 1024 * 1024;

/** Makes a file with stretches of data, `[offset, length]` in MiB, between holes. Every MiB has content of its own. */
export async function sparseFile(
  path: string,
  sizeMib: number,
  stretches: [number, number][],
): Promise<void> {
  const file = await open(path, 'w+');
  try {
    await file.truncate(sizeMib * mebibyte);
    for (const [offset, length] of stretches) {
      for (let mib = offset; mib < offset + length; mib++) {
        const block = Buffer.alloc(mebibyte, `${mib}:${path}|`);
        await file.write(block, 0, mebibyte, mib * mebibyte);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts content into an image that was made empty: what a virtual machine would do. */
export async function fillImage(
  root: string,
  domainId: string,
  imageId: string,
  volumeId: string,
  mib: number,
) {
  const path = join(root, domainId, 'images', imageId, volumeId);
  await sparseFile(path, mib, [[0, mib]]);
  return path;
}

export function sameContent(a: string, b: string): boolean {
  try {
    execFileSync('cmp', ['--silent', a, b]);
    return true;
  } catch {
    return false;
  }
}
