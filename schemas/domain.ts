/** Storage domains: directories that hold images, shared by as many hosts as can mount them. */
import Type from 'typebox';
import { AbsolutePath, Bytes, DomainId, NoParams, OpenObject, StrictObject, Timestamp } from './common.ts';
import { defineVerb } from './verb.ts';

export const domainStates = ['up', 'degraded', 'down'] as const;

export const Domain = OpenObject(
  {
    domainId: DomainId,
    name: Type.String(),
    path: Type.String({ description: 'The directory that holds the directory of the domain' }),
    status: Type.Enum([...domainStates], {
      description:
        '`up`; `degraded`: can be used, with a defect that `message` names; `down`: cannot be used',
    }),
    capacity: Bytes,
    available: Bytes,
    readDelay: Type.Number({ minimum: 0, description: 'Seconds that reading the metadata took' }),
    lastCheckedAt: Timestamp,
    message: Type.Optional(Type.String({ description: 'What is wrong, unless it is `up`' })),
  },
  { description: 'A storage domain, as the host sees it' },
);
export type Domain = Type.Static<typeof Domain>;

const byId = StrictObject({ domainId: DomainId });
const exampleId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const subject = ({ domainId }: { domainId: string }) => ({ kind: 'domain' as const, id: domainId });
const laneKey = ({ domainId }: { domainId: string }) => domainId;

export const createStorageDomain = defineVerb({
  name: 'createStorageDomain',
  doc: 'Makes a storage domain in an existing directory, and connects it.',
  params: StrictObject({
    domainId: DomainId,
    path: AbsolutePath,
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 210, pattern: '^[^\\u0000-\\u001f\\u007f]+$' }),
    ),
  }),
  result: Domain,
  errors: ['DomainExists', 'DomainUnavailable', 'InvalidPath', 'NoSpace'],
  access: 'write',
  lane: 'change',
  laneKey,
  query: false,
  cancellable: false,
  subject,
  example: { domainId: exampleId, path: '/srv/images', name: 'images' },
});

export const connectStorageDomain = defineVerb({
  name: 'connectStorageDomain',
  doc: 'Lets the host use a storage domain until it is disconnected or the daemon restarts. Finishes deletions that were cut short.',
  params: StrictObject({ domainId: DomainId, path: AbsolutePath }),
  result: Domain,
  errors: ['DomainNotFound', 'DomainExists', 'DomainUnavailable', 'InvalidPath'],
  access: 'write',
  lane: 'change',
  laneKey,
  query: false,
  cancellable: false,
  subject,
  example: { domainId: exampleId, path: '/srv/images' },
});

export const disconnectStorageDomain = defineVerb({
  name: 'disconnectStorageDomain',
  doc: 'Lets go of a storage domain. Nothing in it is changed. Refused while a task of this host works on it.',
  params: byId,
  result: Domain,
  errors: ['DomainNotFound', 'ImageBusy'],
  access: 'write',
  lane: 'change',
  laneKey,
  query: false,
  cancellable: false,
  subject,
  example: { domainId: exampleId },
});

export const listStorageDomains = defineVerb({
  name: 'listStorageDomains',
  doc: 'Lists the storage domains that the host has connected, as it last saw them. Answers at once, whatever they do.',
  params: NoParams,
  result: OpenObject({ domains: Type.Array(Domain) }),
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: {},
});

export const getStorageDomainStatus = defineVerb({
  name: 'getStorageDomainStatus',
  doc: 'Looks at a storage domain: is it usable, how large, how full, how quick. Waits for one that hangs for no longer than `storage.probe_timeout`.',
  params: byId,
  result: Domain,
  errors: ['DomainNotFound'],
  access: 'read',
  lane: 'wait',
  query: true,
  cancellable: false,
  example: { domainId: exampleId },
});
