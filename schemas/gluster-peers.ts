/** Gluster: the hosts of the trusted storage pool. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
import {
  Done,
  Force,
  GlusterUuid,
  glusterChange,
  glusterErrors,
  glusterQuery,
  PeerHost,
} from './gluster-common.ts';
import { defineVerb } from './verb.ts';

/** Gluster's states of friendship, by their code 0, 1, 2, … */
export const peerStates = [
  'connecting',
  'probeSent',
  'probeReceived',
  'inCluster',
  'accepted',
  'probeSentAndReceived',
  'rejected',
  'detaching',
  'probed',
  'connected',
  'connectedAndAccepted',
] as const;

export const Peer = OpenObject(
  {
    uuid: GlusterUuid,
    host: Type.String({
      description: 'First name that Gluster knows it by; `localhost` for the host itself',
    }),
    addresses: Type.Array(Type.String(), { description: 'All names that Gluster knows it by' }),
    local: Type.Boolean({ description: 'It is the host that was asked' }),
    connected: Type.Boolean({ description: 'Its glusterd can be reached' }),
    state: Type.Enum([...peerStates, 'unknown'], {
      description:
        '`inCluster` is the settled one; `rejected`: its configuration differs and must be mended by hand',
    }),
  },
  { description: 'A host of the trusted storage pool, as the host that was asked sees it' },
);
export type Peer = Type.Static<typeof Peer>;

const peer = Type.String({
  ...PeerHost,
  description: 'The peer: its UUID, or a host name or address that Gluster knows it by',
});

export const listPeers = defineVerb({
  ...glusterQuery,
  name: 'gluster.listPeers',
  doc: 'Lists the hosts of the trusted storage pool, the host itself among them.',
  params: NoParams,
  result: OpenObject({ peers: Type.Array(Peer) }),
  errors: glusterErrors,
  example: {},
});

export const getLocalPeer = defineVerb({
  ...glusterQuery,
  name: 'gluster.getLocalPeer',
  doc: "Tells the host's own UUID in the pool.",
  params: NoParams,
  result: OpenObject({ uuid: GlusterUuid }),
  errors: glusterErrors,
  example: {},
});

export const addPeer = defineVerb({
  ...glusterChange,
  name: 'gluster.addPeer',
  doc: 'Takes a host into the trusted storage pool. The new peer may need a moment until it is `inCluster` and connected everywhere.',
  params: StrictObject({ host: PeerHost }),
  result: OpenObject({
    added: Type.Boolean({ description: 'False: it is a peer already, or the host itself' }),
  }),
  errors: [...glusterErrors, 'PeerDisconnected'],
  subject: ({ host }) => ({ kind: 'peer', id: host }),
  example: { host: 'gluster2.example' },
});

export const removePeer = defineVerb({
  ...glusterChange,
  name: 'gluster.removePeer',
  doc: 'Takes a host out of the trusted storage pool. With `force` also one that cannot be reached, which goes on believing that it is a peer. A host that holds bricks is never removed.',
  params: StrictObject({ peer, force: Force }),
  result: Done,
  errors: [...glusterErrors, 'PeerDisconnected'],
  access: 'admin',
  subject: (params) => ({ kind: 'peer', id: params.peer }),
  example: { peer: 'gluster2.example' },
});

export const peerVerbs = [listPeers, getLocalPeer, addPeer, removePeer] as const;
