/** Looking into a volume when Gluster's client is missing, fails or hangs. With a real one: test/gluster. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { defaultTuning, GlusterCommands } from '../../../src/gluster/command.ts';
import { volumeLooks } from '../../../src/gluster/volume-look.ts';
import type { TaskContext } from '../../../src/tasks/task-context.ts';
import { refusedAs } from '../../lib/gluster-hosts.ts';
import { until } from '../../lib/until.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostbus-gluster-'));
const status = fileURLToPath(new URL('../../fixtures/gluster/vol-status-r1.xml', import.meta.url));

function script(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Asks for the capacity: the volume runs, and its client is what the test makes of it. */
async function capacityWith(clientProgram: string): Promise<unknown> {
  const program = script('gluster', `cat ${status}`);
  const commands = new GlusterCommands({ program, timeoutS: 10 }, defaultTuning);
  const looks = volumeLooks(commands, { clientProgram, timeoutS: 1 });
  const task: Partial<TaskContext> = { log: pino({ level: 'silent' }) };
  return looks['gluster.getVolumeCapacity']({ volume: 'r1' }, task as TaskContext<never>);
}

describe('a client that cannot mount', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  after(() => rmSync(directory, { recursive: true }));

  test('missing', async () => {
    const absent = join(directory, 'nosuch');
    const error = await refusedAs('GlusterUnavailable', capacityWith(absent));
    assert.match(error.message, /install glusterfs-client/);
    assert.equal((error.data.command as string[])[0], absent);
  });

  test('failing', async () => {
    const failing = script('failing', 'echo first >&2; echo "all subvolumes are down" >&2; exit 1');
    const error = await refusedAs('GlusterError', capacityWith(failing));
    assert.match(error.message, /could not be mounted and looked at: all subvolumes are down/);
    assert.deepEqual([error.data.exitCode, error.data.stderr], [1, 'first\nall subvolumes are down\n']);
  });

  test('ending well without a mount, as glusterfs does for a volume that it cannot fetch', async () => {
    const error = await refusedAs('GlusterError', capacityWith(script('well', 'echo why >&2; exit 0')));
    assert.match(error.message, /looked at: why/);
  });

  test('hanging: it is gone when that is told', async () => {
    const hanging = script('hanging', 'echo $$ >"$0.pid"; exec sleep 1000');
    await refusedAs('GlusterTimeout', capacityWith(hanging));
    const pid = readFileSync(`${hanging}.pid`, 'utf8').trim();
    await until('it is gone', () => {
      try {
        return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      } catch {
        return true;
      }
    });
  });
});
