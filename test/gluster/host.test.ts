/** Hooks that glusterd runs, its services, its webhooks, the end of all its processes: on two real hosts in one pool. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type LabHost, labRefusal } from '../lab/lab.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

describe('a host', { skip: labRefusal() ?? false }, () => {
  let hosts: GlusterHosts;
  let h1: LabHost;
  let h2: LabHost;
  let receiver: Server;
  const posted: { event: string; nodeid: string; authorization: string | undefined }[] = [];
  let url = '';

  before(async () => {
    hosts = await startGlusterHosts(2);
    h1 = hosts.lab.host(1);
    h2 = hosts.lab.host(2);
    await Promise.all(hosts.lab.hosts.map((host) => host.makeBrick('b')));
    await h1.gluster('peer', 'probe', 'h2');
    await until('h1 sees h2', async () =>
      (await h1.gluster('peer', 'status')).includes('<stateStr>Peer in Cluster</stateStr>'),
    );
    await h1.gluster('volume', 'create', 'v', 'h1:/bricks/b/v', 'h2:/bricks/b/v');
    receiver = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        posted.push({ ...JSON.parse(body), authorization: request.headers.authorization });
        response.end();
      });
    });
    await once(receiver.listen(0, hosts.lab.address), 'listening');
    url = `http://${hosts.lab.address}:${(receiver.address() as AddressInfo).port}/events`;
  });

  after(async () => {
    receiver.close();
    receiver.closeAllConnections();
    await hosts[Symbol.asyncDispose]();
  });

  const at = (host: string) => hosts.client.host(host);

  test('glusterd runs a hook while it is enabled', async () => {
    const hook = { command: 'start', stage: 'post', name: '99told.sh' } as const;
    const content = '#!/bin/sh\necho "$@" >>/hook-ran\n';
    const ran = async () => (await h1.exec(['cat', '/hook-ran'])).stdout.split('\n').filter(Boolean);
    const restart = async () => {
      await h1.gluster('volume', 'stop', 'v');
      await h1.gluster('volume', 'start', 'v');
    };
    const { hook: added } = await at('h1').call('gluster.addHook', { ...hook, content });
    assert.deepEqual([added.enabled, added.executable, added.size], [false, true, content.length]);
    await h1.gluster('volume', 'start', 'v');
    await at('h1').call('gluster.enableHook', hook);
    await restart();
    // Hooks at post are run by a thread of their own.
    const [words] = await until('the hook has run', async () => {
      const lines = await ran();
      return lines.length > 0 && lines;
    });
    assert.match(words ?? '', /--volname=v/);
    assert.equal((await ran()).length, 1);

    await at('h1').call('gluster.updateHook', { ...hook, content: '#!/bin/sh\ntouch /updated-ran\n' });
    await restart();
    await until(
      'the new hook has run',
      async () => (await h1.exec(['test', '-e', '/updated-ran'])).exitCode === 0,
    );
    const { hooks } = await at('h1').call('gluster.listHooks', {});
    assert.ok(
      hooks.some(
        ({ command, stage, name, enabled }) =>
          `${command}/${stage}/${name}` === 'start/post/99told.sh' && enabled,
      ),
    );
    // Gluster's own, one of them under a name that glusterd does not run.
    assert.ok(hooks.some(({ name }) => name === '32gluster_enable_shared_storage.sh'));
    assert.ok(!hooks.some(({ name }) => name.includes('isabled-quota')));
    // Each host has its own.
    await refusedAs('HookNotFound', at('h2').call('gluster.readHook', hook));
    await at('h1').call('gluster.removeHook', hook);
    await refusedAs('HookNotFound', at('h1').call('gluster.readHook', hook));
  });

  test('Services are looked at; without systemd nothing is controlled', async () => {
    const running = async () => {
      const { services, serviceManager } = await at('h1').call('gluster.getServices', {});
      assert.equal(serviceManager, 'none');
      return services.filter((each) => each.running).map(({ service }) => service);
    };
    assert.deepEqual(await running(), ['glusterd']);
    const restart = { service: 'glusterd', action: 'restart' } as const;
    const refused = await refusedAs('GlusterError', at('h1').call('gluster.controlService', restart));
    assert.match(refused.message, /systemd/);
    const foreign = { service: 'sshd' as 'glusterd', action: 'stop' } as const;
    await refusedAs('InvalidParams', at('h1').call('gluster.controlService', foreign));
    await Promise.all(hosts.lab.hosts.map(startEventDaemon));
    await until('glustereventsd is seen', async () => (await running()).includes('glustereventsd'));
  });

  /** In the foreground, as systemd runs it; dies with the host. */
  async function startEventDaemon(host: LabHost): Promise<void> {
    const { argv, env } = host.commandLine(['glustereventsd', '--pid-file', '/run/glustereventsd.pid']);
    const [program = '', ...args] = argv;
    const child = spawn(program, args, { env, stdio: 'ignore' });
    child.unref();
    await until(
      `the events of ${host.name} are listened for`,
      async () => (await host.exec(['ss', '-Hlun', 'sport', '=', ':55555'])).stdout !== '',
    );
  }

  test('Without gsyncd, geo-replication is not there', async () => {
    // Such hosts start in a tenth of the time.
    const refused = await refusedAs('GlusterUnavailable', at('h1').call('gluster.listGeoReplications', {}));
    assert.match(refused.message, /gsyncd/);
    const session = { volume: 'v', remoteHost: 'h2', remoteVolume: 'w' };
    await refusedAs('GlusterUnavailable', at('h1').call('gluster.startGeoReplication', session));
  });

  test('A webhook reaches all hosts, and events reach it', async () => {
    const listed = async (host: string) => (await at(host).call('gluster.listWebhooks', {})).webhooks;
    assert.deepEqual(await listed('h1'), []);
    // The peer has no folder for it yet.
    const notThere = await refusedAs(
      'GlusterError',
      at('h1').call('gluster.addWebhook', { url, token: 'first' }),
    );
    assert.match(notThere.message, /syncWebhooks.*h2/s);
    assert.ok(!JSON.stringify(notThere).includes('first'), 'the token is told');
    const both = {
      nodes: [
        { host: 'h2', connected: true, synced: true },
        { host: 'localhost', connected: true, synced: true },
      ],
    };
    await at('h2').call('gluster.syncWebhooks', {});
    assert.deepEqual(await at('h1').call('gluster.syncWebhooks', {}), both);
    for (const host of ['h1', 'h2'])
      assert.deepEqual(await listed(host), [{ url, hasToken: true, hasSecret: false }]);
    await refusedAs('WebhookExists', at('h1').call('gluster.addWebhook', { url }));
    const other = { url: `${url}/other` };
    await refusedAs('WebhookNotFound', at('h1').call('gluster.updateWebhook', { ...other, token: 'x' }));
    await refusedAs('WebhookNotFound', at('h1').call('gluster.deleteWebhook', other));
    assert.deepEqual(await at('h1').call('gluster.updateWebhook', { url, token: 'second' }), both);

    // h1 itself was told when it was asked; so is h2 now.
    await at('h2').call('gluster.syncWebhooks', {});
    await h2.gluster('volume', 'set', 'v', 'user.webhook', 'x');
    const event = await until('the event is posted', () =>
      posted.find((each) => each.event === 'VOLUME_SET'),
    );
    assert.equal(event.authorization, 'Bearer second');
    assert.deepEqual(await at('h2').call('gluster.deleteWebhook', { url }), {
      nodes: both.nodes.map((node) => (node.host === 'h2' ? { ...node, host: 'h1' } : node)),
    });
    for (const host of ['h1', 'h2']) assert.deepEqual(await listed(host), []);
    const logged = hosts.daemons.map(({ log }) => JSON.stringify(log)).join('');
    assert.ok(!/first|second/.test(logged), 'a token is logged');
  });

  test('All processes but glusterd end', async () => {
    assert.equal(h1.processes('glusterfsd').length, 1);
    const brick = Number(await h1.succeed(['cat', '/run/gluster/vols/v/h1-bricks-b-v.pid']));
    const { pids } = await at('h1').call('gluster.stopAllProcesses', {});
    assert.ok(pids.includes(brick), `${pids}`);
    assert.deepEqual(h1.processes('glusterfsd'), []);
    assert.equal(h1.processes('glusterd').length, 1);
    // Nothing left to stop is no error.
    assert.deepEqual(await at('h1').call('gluster.stopAllProcesses', { force: true }), { pids: [] });
  });

  test('A host that is down is told', async () => {
    await h2.powerCut();
    const { nodes } = await until('h2 is missed', async () => {
      const synced = await at('h1')
        .call('gluster.addWebhook', { url })
        .catch(() => undefined);
      return (
        synced ??
        at('h1')
          .call('gluster.syncWebhooks', {})
          .catch(() => undefined)
      );
    });
    assert.deepEqual(
      nodes.map(({ host, connected, synced }) => [host, connected, synced]),
      [
        ['h2', false, false],
        ['localhost', true, true],
      ],
    );
  });
});
