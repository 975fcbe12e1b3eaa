/** Trying again, with a program that answers what a real gluster answered while somebody held its lock. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { HostbusError } from '../../../schemas/errors.ts';
import { GlusterCommands } from '../../../src/gluster/command.ts';
import { until } from '../../lib/until.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostbus-gluster-'));
after(() => rmSync(directory, { recursive: true }));
const fixtures = fileURLToPath(new URL('../../fixtures/gluster/', import.meta.url));
const options = { log: pino({ level: 'silent' }) };

/** Busy so many times, then the pool's list; its runs are counted by the bytes of a file. */
function busyTimes(name: string, times: number) {
  const count = join(directory, `${name}.count`);
  const path = join(directory, name);
  writeFileSync(count, '');
  writeFileSync(
    path,
    `#!/bin/sh\nprintf x >>${count}\nif [ $(wc -c <${count}) -le ${times} ]; then cat ${fixtures}conc-snap-2.xml; else cat ${fixtures}pool-list.xml; fi\n`,
  );
  chmodSync(path, 0o755);
  const tuning = { tries: 4, firstWaitMs: 5, maxWaitMs: 20, graceMs: 100 };
  const make = (more: object = {}) =>
    new GlusterCommands({ program: path, timeoutS: 10 }, { ...tuning, ...more });
  return { make, runs: () => readFileSync(count).length };
}

test('A command that finds Gluster busy is tried again', async () => {
  const { make, runs } = busyTimes('thrice', 3);
  const peers = await make().run(
    ['pool', 'list'],
    options,
    (body) => body.get('peerStatus').all('peer').length,
  );
  assert.equal(peers, 2);
  assert.equal(runs(), 4);
});

test('It gives up after so many tries', async () => {
  const { make, runs } = busyTimes('ever', 1000);
  await assert.rejects(
    make().run(['pool', 'list'], options, () => undefined),
    (error) => error instanceof HostbusError && error.name === 'GlusterBusy' && error.data.opErrno === 30802,
  );
  assert.equal(runs(), 4);
});

test('Closing ends the waiting', async () => {
  const { make, runs } = busyTimes('closed', 1000);
  const commands = make({ firstWaitMs: 3_600_000, maxWaitMs: 3_600_000 });
  const refused = assert.rejects(
    commands.run(['pool', 'list'], options, () => undefined),
    // It may be closed while the program runs, or while it waits.
    (error) => error instanceof HostbusError && ['GlusterBusy', 'GlusterError'].includes(error.name),
  );
  await until('it has run once', () => runs() === 1);
  commands.close();
  await refused;
  assert.equal(runs(), 1);
});

test('An answer that lacks what is needed is an error of Gluster, not of ours', async () => {
  const { make } = busyTimes('lacks', 0);
  await assert.rejects(
    make().run(['pool', 'list'], options, (body) => body.get('volInfo')),
    (error) =>
      error instanceof HostbusError && error.name === 'GlusterError' && /not understood/.test(error.message),
  );
});
