import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePool } from '../../../src/gluster/peers.ts';
import { savedReply } from '../../lib/gluster-output.ts';

const peersOf = (name: string) => parsePool(savedReply(name).body);

test('The pool: peers, and the host itself', () => {
  assert.deepEqual(peersOf('pool-list'), [
    {
      uuid: 'e6d91566-3bfc-442a-8f5f-aedd683a13de',
      host: 'gx2',
      addresses: ['gx2'],
      local: false,
      connected: true,
      state: 'inCluster',
    },
    {
      uuid: '5c0b239b-d94c-45c8-94a8-1afd24651b42',
      host: 'localhost',
      addresses: [],
      local: true,
      connected: true,
      state: 'inCluster',
    },
  ]);
  assert.deepEqual(
    peersOf('pool-list-alone').map(({ local }) => local),
    [true],
  );
  assert.deepEqual(peersOf('peer-status-none'), []);
});

test('A peer that cannot be reached', () => {
  assert.deepEqual(
    peersOf('peer-status-down').map(({ host, connected, state }) => [host, connected, state]),
    [
      ['gp2', false, 'inCluster'],
      ['gp3', true, 'inCluster'],
    ],
  );
});
