/**
 * The main job on real parts, from nothing: a private RabbitMQ, two daemons that share a storage domain, a disk image copied
 * under an ID that the caller chose. `npm run demo`
 *
 * Everything is made in a temporary directory (HOSTBUS_DEMO_DIR names another place for it) and removed at the end.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { type Client, connect, HostbusError } from '../src/client/client.ts';
import { formatBytes } from '../src/lib/units.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { makeDiskImage } from './disk-image.ts';
import { answer, event, refusal, request, say, step } from './stage.ts';

const gibibyte = 2 ** 30;
const capacityBytes = 4 * gibibyte;
const wantedDataBytes = 2 * gibibyte;

const beganMs = performance.now();
const root = mkdtempSync(join(process.env.HOSTBUS_DEMO_DIR ?? tmpdir(), 'hostbus-demo-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const { bavail, bsize } = statfsSync(root);
// The image is written once and copied once or twice; some room must stay.
const dataBytes = Math.min(wantedDataBytes, Math.floor((bavail * bsize) / 3.5 / 2 ** 22) * 2 ** 22);
if (dataBytes < gibibyte) {
  process.stderr.write(
    `The demo needs 4 GiB of free space in ${root}; set HOSTBUS_DEMO_DIR to a directory with more.\n`,
  );
  process.exit(1);
}

step(
  'A broker',
  'A private RabbitMQ node: own directories, free ports on loopback only. It is all that hosts and callers share.',
);
await using broker = await startPrivateBroker();
say(`RabbitMQ listens on 127.0.0.1:${broker.port}`);

step(
  'Two hosts',
  'Each runs one daemon, hostbusd. They know nothing of each other; they see the same directory, as with NFS or Gluster.',
);
const storage = join(root, 'storage');
mkdirSync(storage);
const options = { brokerUrl: broker.url, env: { HOSTBUS_STORAGE_ROOTS: root } };
const [h1, h2] = await Promise.all([
  startDaemon({ hostId: 'h1', ...options }),
  startDaemon({ hostId: 'h2', ...options }),
]);
say(`h1 is process ${h1.pid}, h2 is process ${h2.pid}`);

{
  await using client = await connect(broker.url);
  await show(client);
}
await Promise.all([h1.stop(), h2.stop()]);
await broker.stop();
say('');
say(
  `Both daemons and the broker have been stopped, and ${root} is removed. That took ${Math.round((performance.now() - beganMs) / 1000)} s.`,
);
say('Next: README.md has a first call from Node, from the command line and from Python.');
process.exit(0);

async function show(client: Client): Promise<void> {
  const domainId = randomUUID();
  const source = { domainId, imageId: randomUUID() };
  const target = { domainId, imageId: randomUUID() };
  const first = client.host('h1');
  const second = client.host('h2');

  step(
    'A storage domain',
    'A directory that holds images, in a format that oVirt knows. h1 makes it, h2 connects it.',
  );
  await first.call('createStorageDomain', { domainId, path: storage, name: 'demo' });
  const domain = await second.call('connectStorageDomain', { domainId, path: storage });
  say(`domain ${domainId} is ${domain.status} on both hosts, ${formatBytes(domain.available)} available`);

  step(
    'A disk image',
    'Real content: random data with holes in between, taken in from a file by importImage.',
  );
  const file = join(root, 'disk.raw');
  const allocated = await makeDiskImage(file, capacityBytes, dataBytes);
  say(`${formatBytes(capacityBytes)} as a virtual machine sees it, ${formatBytes(allocated)} of them data`);
  const imported = await first.call('importImage', { ...source, path: file, format: 'raw' });
  await first.task(imported.taskId).wait();
  rmSync(file);
  const status = await second.call('getImageStatus', source);
  say(`image ${source.imageId} is ${status.status} (asked on h2)`);

  step(
    'Watching',
    'Events are broadcast on a topic exchange. This subscription asks for all of h1 but its heartbeats.',
  );
  const events = client.events({ host: 'h1' });
  await events.ready;
  const moving = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const watching = (async () => {
    for await (const seen of events) {
      if (seen.kind === 'host') continue;
      event(seen);
      if (seen.kind !== 'task' || seen.id !== 'copy-42') continue;
      if (seen.data.progress?.done > 0) moving.resolve();
      if (seen.data.finishedAt !== undefined) ended.resolve();
    }
  })();
  say('subscribed to h1.#');

  step(
    'copyImage, as task copy-42',
    'The caller chooses the task ID. The answer comes once the target exists on stable storage; the task goes on copying.',
  );
  request('h1', 'copyImage', { source, target }, 'copy-42');
  const copied = await first.call('copyImage', { source, target }, { taskId: 'copy-42' });
  answer('h1', { taskId: copied.taskId, image: { status: copied.image.status, copy: copied.image.copy } });

  step(
    'The same ID again',
    'While copy-42 is in use, whoever sends it is refused: clients that agree on an ID run a command once, without a lock.',
  );
  request('h1', 'copyImage', { source, target }, 'copy-42');
  await first.call('copyImage', { source, target }, { taskId: 'copy-42' }).then(
    () => {
      throw new Error('the second request was accepted');
    },
    (error: unknown) => {
      if (!(error instanceof HostbusError) || error.name !== 'TaskIdInUse') throw error;
      refusal('h1', error);
    },
  );

  step(
    'Asking, on any host',
    'The task belongs to h1 and dies with it; the copy belongs to the storage, and any host that has it reads its state.',
  );
  await moving.promise;
  request('h1', 'getTaskStatus', { taskId: 'copy-42' }, 'ask-1');
  const task = await first.task('copy-42').status();
  answer('h1', { taskId: task.taskId, state: task.state, answered: task.answered, progress: task.progress });
  request('h2', 'getImageStatus', target, 'ask-2');
  const { status: state, generation, copy } = await second.call('getImageStatus', target);
  answer('h2', { status: state, generation, copy });
  await ended.promise;
  const done = await second.call('getImageStatus', target);
  say('And once it has ended:');
  answer('h2', { status: done.status, generation: done.generation, allocated: done.allocated });

  step('The ID is free again', 'The task has ended, so copy-42 may be used for something else.');
  const spare = { domainId, imageId: randomUUID() };
  request('h1', 'createImage', { ...spare, format: 'qcow2', capacity: gibibyte }, 'copy-42');
  const made = await first.call(
    'createImage',
    { ...spare, format: 'qcow2', capacity: gibibyte },
    { taskId: 'copy-42' },
  );
  answer('h1', { imageId: made.imageId, status: made.status, format: made.format, capacity: made.capacity });

  step('Are they equal?', 'qemu-img compares source and target byte by byte, holes included.');
  const after = await second.call('getImageStatus', target);
  const dataFile = (image: { imageId: string; volumeId: string }) =>
    join(storage, domainId, 'images', image.imageId, image.volumeId);
  say(
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', dataFile(status), dataFile(after)])
      .toString()
      .trim(),
  );
  say(
    `${formatBytes(after.allocated)} are allocated in the copy, ${formatBytes(status.allocated)} in the source: the holes were kept`,
  );
  await events.close();
  await watching;
}
