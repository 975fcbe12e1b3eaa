/** Rebalances and removals of bricks on real hosts: what is told of them, whatever happens to them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ErrorName } from '../../schemas/errors.ts';
import { HostbusError } from '../../schemas/errors.ts';
import type { Operation } from '../../schemas/gluster-operations.ts';
import { type Client, connect } from '../../src/client/client.ts';
import { formPool, type Lab, type LabHost, labRefusal, startLab } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';
import { refusedAs } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';
import { openShell, runExamples } from './cli-examples.ts';
import {
  killRebalance,
  makeVolume,
  rebalanceProcesses,
  slowDown,
  speedUp,
  startable,
} from './moving-data.ts';
import { type Following, OperationWitness } from './operation-witness.ts';

describe('rebalances and removals of bricks', { skip: labRefusal() ?? false }, () => {
  let lab: Lab;
  let client: Client;
  let [h1, h2, h3]: LabHost[] = [];
  let brokerUrl: string;
  const daemons = new Map<string, LabDaemon>();
  let witness: OperationWitness;
  let followed: Following;
  let bricks: string[];
  /** On h3: taken into the volume and out of it again. */
  let spare: string;

  const settings = {
    HOSTBUS_ACCESS_ANONYMOUS: 'admin',
    HOSTBUS_GLUSTER_OPERATION_INTERVAL: '1',
    HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '2',
    HOSTBUS_GLUSTER_OPERATION_STALE_AFTER: '5',
  };

  before(async () => {
    lab = await startLab({ hosts: 3 });
    [h1, h2, h3] = lab.hosts as [LabHost, LabHost, LabHost];
    await formPool(lab);
    brokerUrl = (await lab.broker()).url;
    await Promise.all([
      startDaemon(h1),
      startDaemon(h2),
      (async () => {
        bricks = await makeVolume('vol1', [at(h1), at(h2)], { files: 300, sizeKiB: 64 });
        spare = await at(h3).makeBrick('vol1');
      })(),
    ]);
    client = await connect(brokerUrl);
    witness = await OperationWitness.listen(client);
  });

  after(async () => {
    await client?.close();
    await Promise.all([...daemons.values()].map((daemon) => daemon.stop()));
    await lab?.stop();
  });

  function at(host: LabHost | undefined): LabHost {
    assert.ok(host);
    return host;
  }

  async function startDaemon(host: LabHost | undefined): Promise<void> {
    daemons.set(at(host).name, await at(host).startDaemon({ env: settings }));
  }

  const call = ((method: string, params: object, host = 'h1') =>
    client.host(host).callUntyped(`gluster.${method}`, params)) as <T = Operation>(
    method: string,
    params: object,
    host?: string,
  ) => Promise<T>;

  const refused = (name: ErrorName, method: string, params: object) =>
    refusedAs(name, call<unknown>(method, params));
  const status = (host = 'h1') => call('getVolumeRebalanceStatus', { volume: 'vol1' }, host);
  const operations = async (host = 'h1') =>
    (await call<{ operations: Operation[] }>('getOperationStatuses', {}, host)).operations;
  const node = (operation: Operation, peer: string) =>
    operation.nodes.find(({ host }) => host === peer) ?? assert.fail(`no node ${peer}`);

  test('Where there is nothing to tell of, that is told', async () => {
    assert.deepEqual(await operations(), []);
    await refused('NoOperation', 'getVolumeRebalanceStatus', { volume: 'vol1' });
    await refused('NoOperation', 'stopVolumeRebalance', { volume: 'vol1' });
    const removal = { volume: 'vol1', bricks: [spare] };
    await refused('NoOperation', 'getBrickRemovalStatus', { volume: 'vol1', bricks });
    await refused('NoOperation', 'stopBrickRemoval', { volume: 'vol1', bricks });
    await refused('NoOperation', 'commitBrickRemoval', { volume: 'vol1', bricks: [bricks[0]] });
    const unknownBrick = await refused('GlusterError', 'startBrickRemoval', removal);
    assert.match(String(unknownBrick.data.opErrstr), /^Incorrect brick/);
    await refused('GlusterError', 'startBrickRemoval', { volume: 'vol1', bricks });
    for (const method of ['startVolumeRebalance', 'stopVolumeRebalance', 'getVolumeRebalanceStatus']) {
      await refused('VolumeNotFound', method, { volume: 'nosuch' });
    }
    for (const method of ['startBrickRemoval', 'commitBrickRemoval', 'forceBrickRemoval']) {
      await refused('VolumeNotFound', method, { volume: 'nosuch', bricks });
      await refused('InvalidParams', method, { volume: 'vol1', bricks: [] });
      await refused('InvalidParams', method, { volume: 'vol1' });
    }
    await refused('InvalidParams', 'startVolumeRebalance', { volume: 'vol1', fixLayout: true, force: true });
  });

  test('A volume of one brick has nothing to spread', async () => {
    const brick = await at(h1).makeBrick('single');
    await at(h1).gluster('volume', 'create', 'single', brick);
    await at(h1).gluster('volume', 'start', 'single');
    await refused('NotDistributed', 'startVolumeRebalance', { volume: 'single' });
    await at(h1).gluster('volume', 'stop', 'single');
    await at(h1).gluster('volume', 'delete', 'single');
  });

  test('A fix-layout: started, completed, told by every host that watches', async () => {
    await at(h1).gluster('volume', 'add-brick', 'vol1', spare);
    const { operationId } = await call<{ operationId: string }>('startVolumeRebalance', {
      volume: 'vol1',
      fixLayout: true,
    });
    for (const host of ['h1', 'h2']) {
      const { data } = await witness.hears(operationId, 'completed', host);
      assert.deepEqual([data.kind, data.volume, data.status], ['fixLayout', 'vol1', 'completed']);
      assert.deepEqual(witness.story(operationId, host), ['started', 'completed']);
    }
    const read = await status('h2');
    assert.deepEqual([read.operationId, read.kind, read.status], [operationId, 'fixLayout', 'completed']);
  });

  test('A rebalance that was started by hand: every host tells of it, and another is refused with it', async () => {
    await slowDown(lab, [at(h1), at(h2)], 500);
    const xml = await at(h2).gluster('volume', 'rebalance', 'vol1', 'start');
    const operationId = /<task-id>(.+?)</.exec(xml)?.[1] ?? '';
    for (const host of ['h1', 'h2']) {
      const { data } = await witness.hears(operationId, 'started', host);
      assert.deepEqual([data.kind, data.status, data.stale], ['rebalance', 'running', undefined]);
    }
    followed = witness.follow(operationId);
    const moved = await until('it moves', async (see) => {
      const read = see(await status());
      return read.filesMoved > 0 && read;
    });
    assert.ok(moved.bytesMoved >= 65_536 && moved.filesScanned > 0 && moved.runTime > 0);
    assert.deepEqual(moved.nodes.map(({ host }) => host).sort(), ['h2', 'h3', 'localhost']);
    await witness.hears(operationId, 'progress', 'h2');

    const again = await refused('OperationRunning', 'startVolumeRebalance', { volume: 'vol1' });
    assert.equal((again.data.operation as Operation).operationId, operationId);
    assert.equal(again.data.opErrno, 30800);
    const removal = { volume: 'vol1', bricks: [spare] };
    const other = await refused('OperationRunning', 'startBrickRemoval', removal);
    assert.equal((other.data.operation as Operation).operationId, operationId);
  });

  test('Of two that look at once, neither is told that there is nothing', async () => {
    const { operationId } = await status();
    const looks = await Promise.all(
      Array.from({ length: 10 }, (_, i) => operations(i % 2 === 0 ? 'h1' : 'h2')),
    );
    for (const seen of looks)
      assert.deepEqual(
        seen.map((one) => one.operationId),
        [operationId],
      );
  });

  test('A daemon that is killed meanwhile tells the truth again, and of what runs once', async () => {
    const [operation] = await operations();
    assert.ok(operation);
    const { operationId } = operation;
    await daemons.get('h1')?.kill();
    const before = witness.story(operationId);
    await startDaemon(h1);
    await until('the new daemon tells of it', () => witness.story(operationId).length > before.length);
    const news = witness.told(operationId).at(-1);
    assert.notEqual(news?.bootId, witness.told(operationId)[0]?.bootId);
    const [read] = await operations();
    assert.deepEqual([read?.operationId, read?.status], [operationId, 'running']);
    const length = () => witness.told(operationId).length;
    const soFar = length();
    const followedSoFar = followed.seen.length;
    await until('it goes on to tell', () => length() >= soFar + 2);
    await until('who follows sees it', () => followed.seen.length >= followedSoFar + 2);
    assert.equal(followed.ended, false);
    assert.deepEqual(witness.story(operationId), [...before, 'started']);
  });

  test('A host whose glusterd is dead is unknown, and the rest goes on', async () => {
    await at(h3).killGlusterd();
    const seen = await until('h3 is missed', async (see) => {
      const read = see(await status());
      return read.nodes.some(({ host, status: is }) => host === 'h3' && is === 'unknown') && read;
    });
    assert.equal(seen.status, 'running');
    await at(h3).startGlusterd();
    await until('h3 is back', async (see) =>
      see(await status()).nodes.some(({ host, status: is }) => host === 'h3' && is !== 'unknown'),
    );
  });

  /** Gluster notices the death of a process ("failed"), or it does not ("in progress" for ever): in neither case is it told as running. */
  const isDead = ({ status: is, stale }: { status: string; stale?: true }) =>
    is === 'failed' || stale === true;

  test('A killed rebalance process is never told as running: at once on its host, after a while elsewhere; stop clears it', async () => {
    const { operationId } = await status();
    await killRebalance(at(h1), 'vol1');
    assert.equal(at(h3).processes('glusterfsd').length, 1, 'the brick of h3 lives');
    const own = await status();
    assert.ok(isDead(node(own, 'localhost')), JSON.stringify(own));
    assert.deepEqual([own.status, own.stale], ['running', undefined], 'h2 still works');
    await until('h2 sees it', async (see) => isDead(node(see(await status('h2')), 'h1')));
    await killRebalance(at(h2), 'vol1');
    for (const host of ['h1', 'h2']) {
      await until(`${host} has nothing left that lives`, async (see) => isDead(see(await status(host))));
      await until(`${host} tells so`, (see) => {
        const last = see(witness.told(operationId, host).at(-1));
        return last?.event === 'failed' || last?.data.stale === true;
      });
    }
    const last = await call('stopVolumeRebalance', { volume: 'vol1' });
    assert.deepEqual([last.operationId, last.status, last.stale], [operationId, 'stopped', undefined]);
    assert.deepEqual(await operations(), []);
    for (const host of ['h1', 'h2']) {
      await until(`${host} tells its end`, (see) =>
        ['stopped', 'failed'].includes(see(witness.story(operationId, host)).at(-1) ?? ''),
      );
    }
    await until('who followed sees it', () => followed.ended);
    assert.equal(followed.failure, undefined);
    assert.ok(['stopped', 'failed'].includes(followed.seen.at(-1)?.status ?? ''));
    const gone = client.host('h1').operation(operationId);
    await assert.rejects(
      gone.status(),
      (error) => error instanceof HostbusError && error.name === 'NoOperation',
    );
  });

  test('glusterd restarts when the rebalance has ended meanwhile: what it then believes is told as it is, or as stale', async () => {
    const { operationId } = await call<{ operationId: string }>('startVolumeRebalance', { volume: 'vol1' });
    await witness.hears(operationId, 'started');
    await until(
      'h1 has something to do',
      async (see) => node(see(await status()), 'localhost').filesMoved > 0,
    );
    await at(h1).killGlusterd();
    const down = await refused('GlusterUnavailable', 'getVolumeRebalanceStatus', { volume: 'vol1' });
    assert.match(down.message, /glusterd/);
    await speedUp(lab);
    await until('its process has ended', async () => (await rebalanceProcesses(at(h1), 'vol1')).length === 0);
    const away = await until('h2 knows of nobody who still works', async (see) => {
      const read = see(await status('h2'));
      return read.status !== 'running' && read;
    });
    assert.deepEqual([away.status, node(away, 'h1').status], ['unknown', 'unknown']);
    await at(h1).startGlusterd();
    // glusterd does its part again, or believes for ever that it is being done.
    await until('h1 has nothing that goes on', async (see) => {
      const read = see(await status().catch(() => undefined));
      return read?.status === 'completed' || (read?.status === 'running' && read.stale === true);
    });
    const last = await call('stopVolumeRebalance', { volume: 'vol1' });
    assert.ok(['completed', 'stopped'].includes(last.status), last.status);
    for (const host of ['h1', 'h2']) {
      await until(`${host} tells one end`, (see) =>
        /^started (completed|stopped)$/.test(see(witness.story(operationId, host).join(' '))),
      );
    }
  });

  test('Every example of hostbus gluster works', async () => {
    await using shell = await openShell(brokerUrl);
    await runExamples(shell, 'gluster rebalance');
    await runExamples(shell, 'gluster operations');
    for (const command of ['start', 'status', 'stop'])
      await runExamples(shell, `gluster remove-brick ${command}`);
    await startable(() => runExamples(shell, 'gluster remove-brick start'));
    await runExamples(shell, 'gluster remove-brick commit');
    // What was taken out can be taken in again only when it is empty.
    await at(h3).succeed(['sh', '-c', 'rm -r /bricks/vol1/brick && mkdir /bricks/vol1/brick']);
    await at(h1).gluster('volume', 'add-brick', 'vol1', spare);
  });

  test('The removal of a brick: progress from any host, nothing in between, stop', async () => {
    await call('startVolumeRebalance', { volume: 'vol1' });
    await until('h3 has data', async (see) => see(await status()).status === 'completed');
    await slowDown(lab, [at(h3)], 500);
    const removal = { volume: 'vol1', bricks: [spare] };
    const { operationId } = await call<{ operationId: string }>('startBrickRemoval', removal);
    const running = await until('it moves', async (see) => {
      const read = see(await call('getBrickRemovalStatus', removal, 'h2'));
      return read.filesMoved > 0 && read;
    });
    assert.deepEqual([running.kind, running.bricks, running.status], ['brickRemoval', [spare], 'running']);
    const listed = (await operations('h2')).find((one) => one.operationId === operationId);
    assert.deepEqual([listed?.bricks, listed?.status], [[spare], 'running']);
    await refused('MigrationUnfinished', 'commitBrickRemoval', removal);
    for (const [method, params] of [
      ['startBrickRemoval', removal],
      ['startVolumeRebalance', { volume: 'vol1' }],
    ] as const) {
      const error = await refused('OperationRunning', method, params);
      assert.equal((error.data.operation as Operation | undefined)?.operationId, operationId, method);
    }
    const last = await call('stopBrickRemoval', removal);
    assert.deepEqual([last.operationId, last.status, last.bricks], [operationId, 'stopped', [spare]]);
    await witness.hears(operationId, 'stopped', 'h1');
    await witness.hears(operationId, 'stopped', 'h2');
    assert.deepEqual(witness.story(operationId), ['started', 'stopped']);
    await refused('NoOperation', 'stopBrickRemoval', removal);
  });

  test('Completed and committed, the brick is out of the volume; by force, at once', async () => {
    await speedUp(lab);
    const removal = { volume: 'vol1', bricks: [spare] };
    const { operationId } = await startable(() =>
      call<{ operationId: string }>('startBrickRemoval', removal),
    );
    await witness.hears(operationId, 'completed', 'h1');
    await witness.hears(operationId, 'completed', 'h2');
    assert.deepEqual(await call('commitBrickRemoval', removal), {});
    assert.deepEqual(await operations(), []);
    assert.ok(!(await at(h1).gluster('volume', 'info', 'vol1')).includes(spare));
    assert.deepEqual(witness.story(operationId), ['started', 'completed']);

    const forced = { volume: 'vol1', bricks: bricks.slice(1) };
    assert.deepEqual(await call('forceBrickRemoval', forced), {});
    assert.ok(!(await at(h1).gluster('volume', 'info', 'vol1')).includes(forced.bricks[0] ?? ''));
  });

  test('While glusterd is away the watcher is quiet, and stops at once with its daemon', async () => {
    await at(h2).killGlusterd();
    const daemon = daemons.get('h2');
    assert.ok(daemon);
    const complaints = () => daemon.log.filter(({ msg }) => msg.startsWith('Gluster cannot be asked'));
    const seen = complaints().length;
    await until('it complains', () => complaints().length > seen);
    const startedMs = performance.now();
    assert.equal(await daemon.stop(), 0);
    assert.ok(performance.now() - startedMs < 3000);
    assert.equal(complaints().length, seen + 1);
    daemons.delete('h2');
  });
});
