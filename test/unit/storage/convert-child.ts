/** A host that converts an image, in a process that can be killed: `convert-child.ts ROOT DOMAIN SOURCE TARGET FORMAT`. */
import { pino } from 'pino';
import type { ImageFormat } from '../../../schemas/image.ts';
import { createStorage } from '../../../src/storage/storage.ts';

const [root = '', domainId = '', sourceId = '', targetId = '', format = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const storage = createStorage({ hostId: 'h1', bootId: 'boot-1', roots: [root], log, emit: () => {} });
const task = {
  taskId: 'task-of-child',
  user: undefined,
  flowId: undefined,
  signal: new AbortController().signal,
  log,
  answer: () => {},
  // Waits there for its end.
  progress: (done: number) => {
    if (done > 0) process.stdout.write('working\n');
  },
  phase: () => {},
};
const verbs = storage.implementations;
await verbs.connectStorageDomain({ domainId, path: root }, task);
const [source, target] = [
  { domainId, imageId: sourceId },
  { domainId, imageId: targetId },
];
await verbs.convertImage({ source, target, format: format as ImageFormat }, task);
