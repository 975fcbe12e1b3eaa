/** The verbs of `schemas/gluster-peers.ts`: the trusted storage pool. */
import { type Peer, peerStates, type peerVerbs } from '../../schemas/gluster-peers.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { type CommandOptions, type GlusterCommands, refused } from './command.ts';

export function peerImplementations(commands: GlusterCommands): ImplementationsOf<typeof peerVerbs> {
  return {
    'gluster.listPeers': async (_params, task) => ({
      peers: await commands.run(['pool', 'list'], task, parsePool),
    }),
    'gluster.getLocalPeer': (_params, task) =>
      commands.run(['system::', 'uuid', 'get'], task, (body) => ({
        uuid: body.text('uuidGenerate', 'uuid'),
      })),
    'gluster.addPeer': ({ host }, task) =>
      // What is a peer already, or the host itself, is told by the error number of a success.
      commands.run(['peer', 'probe', host], task, (_body, { opErrno }) => ({ added: opErrno === 0 })),
    'gluster.removePeer': async ({ peer, force = false }, task) => {
      const host = isUuid(peer) ? await hostOf(commands, peer, task) : peer;
      await commands.run(['peer', 'detach', host, ...(force ? ['force'] : [])], task, () => undefined);
      return {};
    },
  };
}

/** Reads `pool list`, which has this host too, and `peer status`, which has not. */
export function parsePool(body: XmlElement): Peer[] {
  return body.get('peerStatus').all('peer').map(parsePeer);
}

function parsePeer(peer: XmlElement): Peer {
  const host = peer.text('hostname');
  // Of itself a host tells neither state nor other names.
  const code = peer.integerIfAny('state');
  const local = code === undefined && host === 'localhost';
  return {
    uuid: peer.text('uuid'),
    host,
    addresses: (peer.find('hostnames')?.all('hostname') ?? []).map((name) => name.text()),
    local,
    connected: peer.integer('connected') === 1,
    state: local ? 'inCluster' : (peerStates[code ?? -1] ?? 'unknown'),
  };
}

function isUuid(peer: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(peer);
}

/** The name of a peer. Gluster detaches by name only. */
async function hostOf(commands: GlusterCommands, uuid: string, options: CommandOptions): Promise<string> {
  return commands.run(['pool', 'list'], options, (body, reply) => {
    const found = parsePool(body).find((peer) => peer.uuid === uuid.toLowerCase());
    if (found !== undefined) return found.host;
    throw refused(reply, `The pool has no peer ${uuid}; gluster.listPeers tells what there is`);
  });
}
