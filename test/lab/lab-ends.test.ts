/** However a lab ends, nothing of it is left, and nothing of others is touched. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { identify, isAlive } from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { randomMac } from './bridge.ts';
import { runCommand, succeed } from './command.ts';
import { labRefusal, openLab, startLab } from './lab.ts';
import { claimLab, hostDir, type LabState, labDir, labNames, readLab } from './lab-state.ts';
import { takeDown, takeDownAbandoned } from './take-down.ts';
import { traceLab } from './traces.ts';

const labModule = join(import.meta.dirname, 'lab.ts');

/** Starts a lab with disks, says so, and waits to be killed; `all`: with a broker and a daemon, too. */
const ownerOf = (name: string, all: boolean) => `
  const { startLab } = await import(${JSON.stringify(labModule)});
  const lab = await startLab({ hosts: 2, name: '${name}' });
  await lab.host(1).makeBrick('thick');
  await lab.host(1).makeBrick('thin', { thin: true });
  const daemon = ${all} ? (await lab.host(1).startDaemon()).pid : 0;
  const broker = ${all} ? (await lab.broker()).dir : '';
  console.log(JSON.stringify({ daemon, broker }));
  setInterval(() => {}, 1_000);
`;

const randomName = () => `x${randomBytes(4).toString('hex')}`;

function launchOwner(name: string, all = false) {
  return spawn(process.execPath, ['--input-type=module', '-e', ownerOf(name, all)], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** What the owner says once it has its lab. */
async function whatItSays(stdout: NodeJS.ReadableStream) {
  for await (const line of createInterface({ input: stdout })) {
    return JSON.parse(line) as { daemon: number; broker: string };
  }
  throw new Error('the owner ended without a lab');
}

function stateOf(name: string): LabState {
  const state = readLab(name);
  assert.ok(state);
  return state;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('the end of a lab', { skip: labRefusal() ?? false }, () => {
  test('An owner that gets SIGKILL leaves nothing: its guard takes the lab down.', async () => {
    const name = randomName();
    const owner = launchOwner(name, true);
    const { daemon, broker } = await whatItSays(owner.stdout);
    const left = await traceLab(stateOf(name));
    const serving = identify(daemon);
    assert.ok(serving);
    await kill(owner);
    await until('nothing is left', async () => (await left()).length === 0);
    assert.equal(isAlive(serving), false);
    await until('the broker is gone', () => !existsSync(broker));
  });

  for (const file of ['lab.json', 'dev/loop0', 'h1/disk.img', 'h2/init', 'h2/boot']) {
    test(`It leaves nothing when it gets SIGKILL as early as ${file} is there.`, async () => {
      const name = randomName();
      const owner = launchOwner(name);
      const state = await until(file, () => existsSync(join(labDir(name), file)) && readLab(name));
      const left = await traceLab(state);
      await kill(owner);
      await until('nothing is left', async () => (await left()).length === 0);
    });
  }

  test('When the guard dies too, the next lab takes down what is left.', async () => {
    const name = randomName();
    const owner = launchOwner(name);
    await whatItSays(owner.stdout);
    const left = await traceLab(stateOf(name));
    const guard = await guardOf(name);
    process.kill(guard.pid, 'SIGKILL');
    await until('the guard is gone', () => !isAlive(guard));
    await kill(owner);
    assert.ok((await left()).length > 5);
    await Promise.all([takeDownAbandoned(), takeDownAbandoned(), takeDownAbandoned()]);
    await until('nothing is left', async () => (await left()).length === 0);
  });

  test('Two labs stand side by side; the end of one is no matter for the other.', async () => {
    await using one = await startLab({ hosts: 1 });
    const other = await startLab({ hosts: 1 });
    try {
      assert.notEqual(one.address, other.address);
      await one.host(1).makeBrick('b', { thin: true });
      await other.host(1).makeBrick('b', { thin: true });
      await one.host(1).succeed(['touch', '/bricks/b/brick/of-one']);
      assert.equal(await other.host(1).succeed(['ls', '/bricks/b/brick']), '');
      await assert.rejects(
        startLab({ hosts: 1, name: one.name }),
        new RegExp(`lab ${one.name} runs already: take it down first`),
      );
    } finally {
      await other.stop();
    }
    assert.equal(await one.host(1).succeed(['ls', '/bricks/b/brick']), 'of-one\n');
    await one.host(1).gluster('peer', 'status');
    assert.match(await succeed(['ip', 'address', 'show']), new RegExp(`${one.address}/24`));
  });

  test('A process that got the PID of a dead host, and a bridge of the same name, are left alone.', async () => {
    const sleeper = spawn('sleep', ['60']);
    // A number that no lab is given.
    const subnet = randomInt(1_000, 10_000);
    const bridge = `hblab${subnet}`;
    try {
      const stranger = identify(sleeper.pid ?? 0);
      assert.ok(stranger);
      await succeed(['ip', 'link', 'add', 'name', bridge, 'type', 'bridge']);
      const name = randomName();
      const mine = {
        name,
        owner: null,
        subnet: 251,
        bridgeMac: randomMac(),
        hosts: 1,
        geoReplication: false,
      };
      assert.equal(claimLab(mine), true);
      assert.equal(claimLab(mine), false);
      mkdirSync(hostDir(name, 1));
      writeFileSync(join(hostDir(name, 1), 'init'), `${stranger.pid} ${Number(stranger.startTicks) - 1}\n`);
      await takeDown(name);
      assert.equal(existsSync(labDir(name)), false);
      assert.equal(isAlive(stranger), true);
      await succeed(['ip', 'link', 'show', bridge]);
    } finally {
      sleeper.kill('SIGKILL');
      await runCommand(['ip', 'link', 'delete', bridge]);
    }
  });

  test('Hosts that are to replicate let root in from one another.', async () => {
    await using lab = await startLab({ hosts: 2, geoReplication: true });
    const over = ['ssh', '-o', 'BatchMode=yes', 'h2', 'hostname'];
    assert.equal(await lab.host(1).succeed(over), 'h2\n');
    const sessions = await lab.host(1).exec(['gluster', 'volume', 'geo-replication', 'status']);
    assert.match(sessions.stdout + sessions.stderr, /No active geo-replication sessions/);
  });

  test('A start that fails leaves nothing, and says why.', async () => {
    const name = randomName();
    const before = labNames();
    await assert.rejects(startLab({ hosts: 0, name }), /a lab has 1 to 32 hosts, not 0/);
    await assert.rejects(startLab({ hosts: 1, name: 'No Name' }), /"No Name" is no name for a lab/);
    assert.throws(() => openLab(name), /there is no lab/);
    assert.deepEqual(
      labNames().filter((each) => !before.includes(each) && each === name),
      [],
    );
  });
});

describe('labRefusal', () => {
  test('It says why no lab can run: not root.', {
    skip: process.getuid?.() !== 0 && 'not root',
  }, async () => {
    assert.match(await refusalOf('setpriv --reuid 65534 --clear-groups'), /^a lab needs root/);
  });

  test('It says why no lab can run: no right to make namespaces.', {
    skip: labRefusal() ?? false,
  }, async () => {
    assert.match(
      await refusalOf('setpriv --bounding-set -sys_admin'),
      /^no namespaces with mounts can be made here: unshare/,
    );
  });
});

/** What labRefusal says in a process that the given command starts. */
async function refusalOf(command: string): Promise<string> {
  const script = `console.log((await import(${JSON.stringify(labModule)})).labRefusal())`;
  const argv = [...command.split(' '), process.execPath, '--input-type=module', '-e', script];
  return (await runCommand(argv)).stdout.trim();
}

async function guardOf(name: string) {
  const pids = (await succeed(['pgrep', '-f', `guard.sh ${name} `])).trim().split('\n').map(Number);
  assert.equal(pids.length, 1);
  const guard = identify(pids[0] ?? 0);
  assert.ok(guard);
  return guard;
}
