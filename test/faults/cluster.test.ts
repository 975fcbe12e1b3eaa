/** A cluster of three brokers whose nodes are killed one at a time. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type PrivateCluster, startPrivateCluster } from '../../rabbitmq/private-cluster.ts';
import { results, tryFault } from './trials.ts';
import { World } from './world.ts';

const hostIds = ['h1', 'h2', 'h3'];

describe('a cluster whose nodes are killed', () => {
  const report = results('cluster');
  let cluster: PrivateCluster;
  let world: World;
  const boots = new Map<string, string>();

  before(async () => {
    cluster = await startPrivateCluster(3);
    world = await World.start({ brokerUrls: cluster.urls });
    for (const hostId of hostIds) {
      await world.startHost(hostId);
      boots.set(hostId, await world.bootOf(hostId));
    }
  });
  after(async () => {
    await world?.close();
    await cluster?.stop();
  });

  test('One node after another is killed, and comes back.', async (t) => {
    let next = 0;
    const inject = async () => {
      const node = cluster.nodes[next++ % cluster.nodes.length];
      assert.ok(node !== undefined);
      for (const hostId of hostIds) world.call(hostId, 500);
      await node.kill();
    };
    const comesBack = async () => {
      for (const node of cluster.nodes) if (node.pid === undefined) await node.restart();
      for (const hostId of hostIds) assert.equal(await world.bootOf(hostId), boots.get(hostId));
    };
    const times = { short: 3, all: 15 };
    report(await tryFault(t, 'SIGKILL of one node of a cluster of three', times, world, inject, comesBack));
    // Each host stays at the node that it has found until that is killed, and each node is killed.
    for (const hostId of hostIds) {
      const { broker } = await world.client.host(hostId).call('getHostStats', {});
      assert.ok(broker.reconnects > 0, `${hostId} has not been hit`);
    }
  });
});
