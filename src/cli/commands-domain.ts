/** Declarations of `hostbus domain …`. */
import { type ArgumentSpec, type CommandSpec, hostArgument, idOption } from './command-spec.ts';

const domainArgument: ArgumentSpec = { name: 'DOMAIN', description: 'UUID of the storage domain' };
const pathArgument: ArgumentSpec = {
  name: 'PATH',
  description: "directory on the host that holds the domain's directory, inside one of its storage roots",
};
const domain = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';

export const domainCommands: readonly CommandSpec[] = [
  {
    path: ['domain', 'list'],
    summary: 'the storage domains that a host has connected',
    args: [hostArgument],
    options: [],
    examples: [{ line: 'hostbus domain list h1', says: 'all of them' }],
    load: async () => (await import('./domain.ts')).domainList,
  },
  {
    path: ['domain', 'status'],
    summary: 'is a storage domain usable, how large, how full, how quick',
    args: [hostArgument, domainArgument],
    options: [],
    examples: [{ line: `hostbus domain status h1 ${domain}`, says: 'as h1 sees it' }],
    load: async () => (await import('./domain.ts')).domainStatus,
  },
  {
    path: ['domain', 'create'],
    summary: 'make a storage domain in an existing directory, and connect it',
    args: [hostArgument, { ...domainArgument, description: 'its UUID, or new to make one up' }, pathArgument],
    options: [idOption, { flags: '--name <NAME>', description: 'a name for people' }],
    examples: [{ line: 'hostbus domain create h1 new /srv/images --name images', says: 'under a new UUID' }],
    load: async () => (await import('./domain.ts')).domainCreate,
  },
  {
    path: ['domain', 'connect'],
    summary: 'let a host use a storage domain until it restarts',
    args: [hostArgument, domainArgument, pathArgument],
    options: [idOption],
    examples: [
      { line: `hostbus domain connect h1 ${domain} /srv/images`, says: 'what is there stays as it is' },
    ],
    load: async () => (await import('./domain.ts')).domainConnect,
  },
  {
    path: ['domain', 'disconnect'],
    summary: 'let go of a storage domain; nothing in it is changed',
    args: [hostArgument, domainArgument],
    options: [idOption],
    examples: [{ line: `hostbus domain disconnect h1 ${domain}`, says: 'refused while a task works on it' }],
    load: async () => (await import('./domain.ts')).domainDisconnect,
  },
];
