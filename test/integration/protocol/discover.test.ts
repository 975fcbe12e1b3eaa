/** rpc.discover of the real daemon, without test verbs, is the committed document. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import { startDaemon } from '../../lib/daemon.ts';
import { RawClient } from './raw-client.ts';

test('rpc.discover answers with schemas/openrpc.json: every verb that is declared is served, and no other.', async () => {
  const broker = await startPrivateBroker();
  const daemon = await startDaemon({ hostId: 'h1', brokerUrl: broker.url });
  const client = await RawClient.connect(broker.url);
  try {
    const document = await client.result('h1', 'rpc.discover');
    const committed = JSON.parse(
      readFileSync(new URL('../../../schemas/openrpc.json', import.meta.url), 'utf8'),
    ) as {
      methods: { name: string }[];
    };
    const byName = (methods: { name: string }[]) => methods.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(
      { ...document, methods: byName(document.methods as { name: string }[]) },
      { ...committed, methods: byName(committed.methods) },
    );
  } finally {
    await client.close();
    await daemon.stop();
    await broker.stop();
  }
});
