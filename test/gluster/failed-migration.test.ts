/** Processes that move data and are told to end (SIGTERM): Gluster notices, and lets no bricks go whose files were not moved. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { formPool, type LabHost, labRefusal } from '../lab/lab.ts';
import { whileHung } from '../lib/gluster-faults.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';
import { makeVolume, rebalanceProcesses } from './moving-data.ts';
import { OperationWitness } from './operation-witness.ts';

describe('a migration that is cut short', { skip: labRefusal() ?? false }, () => {
  const volume = 'cut';
  let hosts: GlusterHosts;
  let witness: OperationWitness;
  let [h1, h2]: LabHost[] = [];
  let removal: { volume: string; bricks: string[] };

  before(async () => {
    hosts = await startGlusterHosts(2, {
      HOSTBUS_GLUSTER_OPERATION_INTERVAL: '1',
      HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '1',
    });
    [h1, h2] = hosts.lab.hosts as [LabHost, LabHost];
    await formPool(hosts.lab);
    const [, second = ''] = await makeVolume(volume, [h1, h2], { files: 600, sizeKiB: 1 });
    removal = { volume, bricks: [second] };
    witness = await OperationWitness.listen(hosts.client);
  });
  after(() => hosts?.[Symbol.asyncDispose]());

  const at = (host: string) => hosts.client.host(host);

  /** As an operator or the system does that ends a process: it gives up, and says so. */
  async function terminate(host: LabHost | undefined): Promise<void> {
    assert.ok(host);
    const pids = await until(`${host.name} moves files`, async () => {
      const found = await rebalanceProcesses(host, volume);
      return found.length > 0 && found;
    });
    // Where glusterd sees the connection go before the process, it takes it for running still, for ever.
    await whileHung(host, async () => {
      await host.succeed(['kill', '-TERM', ...pids]);
      await until('it has ended', async () => (await rebalanceProcesses(host, volume)).length === 0);
    });
  }

  test('The removal of a brick: failed, told from both hosts, and not to be committed', async () => {
    const { operationId } = await at('h1').call('gluster.startBrickRemoval', removal);
    const status = (host: string) => at(host).call('gluster.getBrickRemovalStatus', removal);
    await until('it moves', async () => (await status('h1')).filesMoved > 0);
    await terminate(h2);
    for (const host of ['h1', 'h2']) {
      await until(`${host} knows`, async () => (await status(host)).status === 'failed');
      await witness.hears(operationId, 'failed', host);
    }
    const refused = await refusedAs(
      'MigrationUnfinished',
      at('h1').call('gluster.commitBrickRemoval', removal),
    );
    assert.match(String(refused.data.opErrstr), /migration has failed/);
    const { bricks } = await at('h1').call('gluster.getVolume', { volume });
    assert.equal(bricks.length, 2);
    const last = await at('h1').call('gluster.stopBrickRemoval', removal);
    assert.deepEqual([last.operationId, last.status], [operationId, 'stopped']);
    assert.deepEqual(witness.story(operationId), ['started', 'failed']);
  });

  test('A rebalance: failed, and another can be started', async () => {
    const rebalance = { volume, force: true };
    const { operationId } = await at('h1').call('gluster.startVolumeRebalance', rebalance);
    await witness.hears(operationId, 'started');
    await Promise.all([terminate(h1), terminate(h2)]);
    const failed = await until('h1 knows', async () => {
      const status = await at('h1').call('gluster.getVolumeRebalanceStatus', { volume });
      return status.status === 'failed' && status;
    });
    assert.deepEqual(
      failed.nodes.map(({ status }) => status),
      ['failed', 'failed'],
    );
    await witness.hears(operationId, 'failed', 'h2');
    const next = await at('h2').call('gluster.startVolumeRebalance', { volume });
    assert.notEqual(next.operationId, operationId);
  });
});
