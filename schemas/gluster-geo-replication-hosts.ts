/** Gluster: what hosts need before geo-replication sessions run between them. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
import { glusterChange, glusterErrors, VolumeName } from './gluster-common.ts';
import { userPattern } from './gluster-geo-replication.ts';
import { defineVerb } from './verb.ts';

const PublicKey = Type.String({
  maxLength: 16_384,
  pattern:
    '^command="(/usr/([A-Za-z0-9_-]+/)+gsyncd|tar \\$\\{SSH_ORIGINAL_COMMAND#\\* \\})" +(ssh-[a-z0-9]+|ecdsa-[a-z0-9-]+) [A-Za-z0-9+/=]+( [A-Za-z0-9@._-]*)?$',
  description:
    'A line of authorized_keys, bound to the programs of geo-replication, as `gluster.getGeoReplicationKeys` tells it',
});
const name = (description: string) => Type.String({ pattern: userPattern, description });

export const getGeoReplicationKeys = defineVerb({
  ...glusterChange,
  name: 'gluster.getGeoReplicationKeys',
  doc: "Tells the public keys with which this pool's hosts log in to others, two for each host; makes those that are missing, which takes some seconds. Keys of hosts that are down are missing.",
  params: NoParams,
  result: OpenObject({ keys: Type.Array(Type.String({ description: 'A line of authorized_keys' })) }),
  errors: glusterErrors,
  example: {},
});

export const updateGeoReplicationKeys = defineVerb({
  ...glusterChange,
  name: 'gluster.updateGeoReplicationKeys',
  doc: 'Lets who has these keys run the programs of geo-replication on this host, and nothing else. Ask it of each host of the remote pool. Keys that are there already are left alone.',
  params: StrictObject({
    keys: Type.Array(PublicKey, { minItems: 1, maxItems: 512 }),
    user: Type.Optional(Type.String({ ...name('Whose authorized_keys'), default: 'root' })),
  }),
  result: OpenObject({ added: Type.Integer({ minimum: 0, description: 'How many were new' }) }),
  errors: glusterErrors,
  access: 'admin',
  example: {
    keys: [
      'command="/usr/libexec/glusterfs/gsyncd" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleKeyOfAHost root@gluster1',
    ],
  },
});

export const setUpMountBroker = defineVerb({
  ...glusterChange,
  name: 'gluster.setUpMountBroker',
  doc: 'Prepares a remote pool for sessions of a user other than root: makes the user and group on this host, then lets the user mount the volume on all hosts. Ask it of each host of the remote pool; the last answer has all hosts `ready`. It takes effect with the next start of glusterd on each of them.',
  params: StrictObject({
    volume: VolumeName,
    user: name('User of the sessions; made where it is missing'),
    group: name('Group of the user, which may read the logs of geo-replication; made where it is missing'),
  }),
  result: OpenObject({
    hosts: Type.Array(
      OpenObject({
        host: Type.String({
          description: 'First name that Gluster knows it by; `localhost` for the host itself',
        }),
        connected: Type.Boolean({ description: 'It could be asked' }),
        ready: Type.Boolean({ description: 'It is set up' }),
        message: Type.Optional(Type.String({ description: 'Why not' })),
      }),
    ),
  }),
  errors: glusterErrors,
  access: 'admin',
  example: { volume: 'data-copy', user: 'geouser', group: 'geogroup' },
});

export const mountMetaVolume = defineVerb({
  ...glusterChange,
  name: 'gluster.mountMetaVolume',
  doc: 'Mounts the volume `gluster_shared_storage` on this host at `/run/gluster/shared_storage`, now and at each boot, for sessions with the option `use_meta_volume`. That it is mounted already is no error.',
  params: NoParams,
  result: OpenObject({
    path: Type.String({ description: 'Where it is mounted' }),
    mounted: Type.Boolean({ description: 'False: it was mounted already' }),
  }),
  errors: [...glusterErrors, 'VolumeNotFound'],
  access: 'admin',
  example: {},
});

export const geoReplicationHostVerbs = [
  getGeoReplicationKeys,
  updateGeoReplicationKeys,
  setUpMountBroker,
  mountMetaVolume,
] as const;
