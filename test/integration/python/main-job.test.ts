/** A client that nobody here wrote (pika, Debian's) drives the main job. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Compile } from 'typebox/compile';
import { startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import { Domain } from '../../../schemas/domain.ts';
import { CloudEvent } from '../../../schemas/events.ts';
import { ImageStatus } from '../../../schemas/image.ts';
import { Task } from '../../../schemas/task.ts';
import { startDaemon } from '../../lib/daemon.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./main_job.py', import.meta.url));
const mib = 2 ** 20;

/** 96 MiB, a third of it real content, the rest holes. */
function makeDisk(file: string): void {
  const fd = openSync(file, 'w');
  ftruncateSync(fd, 96 * mib);
  for (const atMib of [0, 40, 90]) {
    for (let i = 0; i < 2; i += 1) writeSync(fd, randomBytes(3 * mib), 0, 3 * mib, (atMib + 3 * i) * mib);
  }
  closeSync(fd);
}

test('pika makes a domain, takes an image in, copies it under an ID of its own, and watches it happen.', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hostbus-pika-'));
  const storage = join(dir, 'storage');
  mkdirSync(storage);
  const disk = join(dir, 'disk.raw');
  makeDisk(disk);
  const broker = await startPrivateBroker();
  const daemon = await startDaemon({
    hostId: 'h1',
    brokerUrl: broker.url,
    env: { HOSTBUS_STORAGE_ROOTS: dir },
  });
  try {
    const { stdout } = await run('/usr/bin/python3', [script, broker.url, 'h1', storage, disk], {
      timeout: 60_000,
    });
    const said = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { what: string; value: unknown });
    const saidOf = (what: string) => said.find((one) => one.what === what)?.value;

    const domain = saidOf('domain');
    assert.ok(Compile(Domain).Check(domain) && domain.status === 'up');
    const imported = saidOf('import') as Task;
    assert.deepEqual([imported.taskId, imported.state], ['import-41', 'succeeded']);
    const { image: made, taskId } = saidOf('copy') as { image: ImageStatus; taskId: string };
    assert.equal(taskId, 'copy-42');
    assert.ok(['copying', 'ok'].includes(made.status), made.status);
    const task = saidOf('task');
    assert.ok(Compile(Task).Check(task));
    assert.deepEqual([task.taskId, task.method], ['copy-42', 'copyImage']);
    assert.deepEqual(task.subject, { kind: 'image', id: `${made.domainId}/${made.imageId}` });

    const events = said.filter(({ what }) => what === 'event').map(({ value }) => value);
    const isEvent = Compile(CloudEvent);
    assert.ok(events.every((event) => isEvent.Check(event)));
    const types = (events as CloudEvent[]).map(({ type }) => type.replace('hostbus.task.', ''));
    assert.equal(types[0], 'started');
    assert.equal(types.at(-1), 'succeeded');
    assert.ok(types.includes('answered') && types.includes('progress'), types.join());

    const image = saidOf('image');
    assert.ok(Compile(ImageStatus).Check(image));
    assert.deepEqual([image.status, image.format, image.capacity], ['ok', 'raw', 96 * mib]);
    assert.ok(image.allocated < 40 * mib, `holes are kept: ${image.allocated} bytes`);
    assert.equal(saidOf('refused'), 'ImageExists');

    const copied = join(storage, image.domainId, 'images', image.imageId, image.volumeId);
    const { stdout: verdict } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', disk, copied]);
    assert.match(verdict, /identical/);
  } finally {
    await daemon.stop();
    await broker.stop();
    rmSync(dir, { recursive: true });
  }
});
