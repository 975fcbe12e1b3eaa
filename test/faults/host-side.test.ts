/** What a host does to its daemon: its clock is set, descriptors run out, the event loop stands still, the log's disk is full. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  globSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { HostbusError } from '../../src/client/client.ts';
import { ServiceManagerSocket } from '../lib/service-manager.ts';
import { startTcpProxy } from '../lib/tcp-proxy.ts';
import { until } from '../lib/until.ts';
import { results, tryFault } from './trials.ts';
import { World } from './world.ts';

const [faketime] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
const dayMs = 86_400_000;

describe('a host that makes trouble', () => {
  const report = results('host-side');
  let broker: PrivateBroker;
  let world: World;

  before(async () => {
    broker = await startPrivateBroker();
  });
  after(async () => {
    await broker?.stop();
  });
  const withWorld = (body: (world: World) => Promise<void>) => async () => {
    world = await World.start({ brokerUrls: [broker.url] });
    try {
      await body(world);
    } finally {
      await world.close();
    }
  };

  test('The clock is set forward and back by days.', {
    skip: faketime === undefined && 'faketime is not installed: .ci/setup test',
  }, async (t) => {
    await withWorld(async () => {
      const file = join(world.dir, 'clock');
      const set = (offset: string) => {
        writeFileSync(`${file}.new`, `${offset}\n`);
        renameSync(`${file}.new`, file);
      };
      set('+0d');
      const env = {
        LD_PRELOAD: String(faketime),
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        // Setting a clock leaves the monotonic one alone.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      };
      await world.startHost('h1', { env });
      const daysOff = async () => {
        const { time } = await world.client.host('h1').call('ping', {});
        return Math.round((Date.parse(time) - Date.now()) / dayMs);
      };
      const inject = async () => {
        for (const days of [30, -30, 0]) {
          world.call('h1', 200);
          set(`${days < 0 ? '' : '+'}${days}d`);
          await until(`the daemon is ${days} days off`, async () => (await daysOff()) === days);
          const seen = world.witness.counts.events;
          await until('tasks end at that time', () => world.witness.counts.events > seen + 50);
        }
      };
      report(
        await tryFault(t, 'clock set forward and back by 30 days', { short: 1, all: 10 }, world, inject),
      );
      assert.ok(!world.daemon('h1').log.some(({ msg }) => msg === 'lost the broker'));
    })();
  });

  test('File descriptors run out, and the connection is lost meanwhile.', async (t) => {
    await withWorld(async () => {
      await using proxy = await startTcpProxy(broker.url);
      const storage = join(world.dir, 'storage');
      await mkdir(storage);
      const env = { HOSTBUS_STORAGE_ROOTS: world.dir };
      const daemon = await world.startHost('h1', { brokerUrl: proxy.url, env });
      const limit = (soft: string) =>
        execFileSync('prlimit', ['--pid', `${daemon.pid}`, `--nofile=${soft}:`]);
      const [usual = ''] =
        /\d+/.exec(readFileSync(`/proc/${daemon.pid}/limits`, 'utf8').split('Max open files')[1] ?? '') ?? [];
      const failures = () => daemon.log.filter(({ msg }) => msg === 'no session with the broker').length;
      const inject = async () => {
        limit('3');
        const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
        const refused = world.client.host('h1').call('createStorageDomain', { domainId, path: storage });
        await assert.rejects(
          refused,
          (error) => error instanceof HostbusError && error.name !== 'InternalError',
        );
        await world.client.host('h1').call('ping', {});
        const before = failures();
        world.call('h1', 300);
        proxy.cut();
        proxy.mend();
        await until('it has tried to connect', () => failures() > before + 1);
        limit(usual);
      };
      report(await tryFault(t, 'file descriptors exhausted', { short: 1, all: 10 }, world, inject));
      assert.match(JSON.stringify(daemon.log), /EMFILE/);
    })();
  });

  // systemd is not here: the test hears what the daemon tells it, and does what it would do.
  test('The event loop stands still: the watchdog is not told, and the service manager starts the daemon afresh.', async (t) => {
    await withWorld(async () => {
      const watchdogMs = 2000;
      await using manager = await ServiceManagerSocket.open();
      const options = { env: manager.env(watchdogMs) };
      await world.startHost('h1', options);
      const inject = async () => {
        const { client } = world;
        const spinning = client.host('h1').callUntyped('spin', { ms: 600_000 }, { timeout: 600_000 });
        spinning.catch(() => {});
        await until('no watchdog', () => performance.now() - manager.lastWatchdogMs > watchdogMs);
        await world.killHost('h1');
        manager.lastWatchdogMs = performance.now();
        await world.startHost('h1', { ...options, wait: false });
        await until('READY=1', () => manager.heard.splice(0).includes('READY=1'));
      };
      report(
        await tryFault(t, 'event loop blocked, killed by the watchdog', { short: 1, all: 10 }, world, inject),
      );
    })();
  });

  test("The log's disk is full: the daemon serves on, and logs on when there is space.", {
    skip: process.getuid?.() !== 0 && 'a file system of its own needs root',
  }, async (t) => {
    await withWorld(async () => {
      const disk = join(world.dir, 'disk');
      await mkdir(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
      const path = join(disk, 'log');
      const stdout = openSync(path, 'a');
      try {
        await world.startHost('h1', { stdout, wait: false });
        await world.serves();
        const inject = async () => {
          fill(join(disk, 'filler'));
          const { client } = world;
          const seen = world.witness.counts.events;
          // More than is kept of it.
          const calls = Array.from({ length: 1500 }, () =>
            client.host('h1').callUntyped('subtract', { minuend: 3, subtrahend: 2 }),
          );
          await Promise.all(calls);
          await until('the daemon works on', () => world.witness.counts.events > seen + 3000);
          rmSync(join(disk, 'filler'));
          // What was kept is there, then how much was not, then what came after.
          await until('it says what is missing', () => {
            const [, after = ''] = readFileSync(path, 'utf8').split('lines of this log were lost');
            return after.includes('"msg":"task ended"');
          });
          truncateSync(path);
        };
        report(await tryFault(t, 'disk of the log full', { short: 1, all: 10 }, world, inject));
        await world.daemon('h1').kill();
        world.daemons.clear();
      } finally {
        closeSync(stdout);
        execFileSync('umount', ['--lazy', disk]);
      }
    })();
  });
});

/** Writes until there is no space. */
function fill(path: string): void {
  assert.throws(() => writeFileSync(path, Buffer.alloc(4 * 1024 * 1024)), { code: 'ENOSPC' });
}
