/** Declarations of `hostbus gluster …`. */
import { type ArgumentSpec, type CommandSpec, hostArgument, idOption } from './command-spec.ts';

const volumeArgument: ArgumentSpec = { name: 'VOLUME', description: 'name of the Gluster volume' };
const bricksArgument: ArgumentSpec = { name: 'BRICK', description: 'a brick: HOST:/PATH', rest: true };
const followOption = {
  flags: '--follow',
  description: 'stay until Gluster has ended the operation, showing how far it is',
} as const;
const brick = 'h3:/bricks/vol1/brick';
const followed =
  'With --follow the exit status tells how it ended: 0 completed, 1 failed or stale, 7 stopped; 4 when --timeout was over first.';

export const glusterCommands: readonly CommandSpec[] = [
  {
    path: ['gluster', 'operations'],
    summary: 'the operations that Gluster knows: those that run, and how the last ones ended',
    args: [hostArgument],
    options: [],
    examples: [{ line: 'hostbus gluster operations h1', says: 'any host of the pool can be asked' }],
    load: async () => (await import('./gluster.ts')).operationList,
  },
  {
    path: ['gluster', 'rebalance', 'start'],
    summary: "start to spread a volume's files over its bricks",
    details: `Answers once Gluster has registered it, within about 10 s. ${followed}`,
    args: [hostArgument, volumeArgument],
    options: [
      idOption,
      followOption,
      { flags: '--fix-layout', description: 'only let new files go to new bricks; none is moved' },
      { flags: '--force', description: "Gluster's own force: does it though Gluster warns" },
    ],
    examples: [
      { line: 'hostbus gluster rebalance start h1 vol1 --fix-layout --follow', says: 'for new files only' },
      { line: 'hostbus gluster rebalance start h1 vol1', says: 'and come back later' },
    ],
    load: async () => (await import('./gluster.ts')).rebalanceStart,
  },
  {
    path: ['gluster', 'rebalance', 'status'],
    summary: 'how far the rebalance of a volume is, or how the last one ended',
    details: followed,
    args: [hostArgument, volumeArgument],
    options: [followOption],
    examples: [
      { line: 'hostbus gluster rebalance status h2 vol1', says: 'from another host' },
      { line: 'hostbus gluster rebalance status h1 vol1 --follow', says: 'until its end' },
    ],
    load: async () => (await import('./gluster.ts')).rebalanceStatus,
  },
  {
    path: ['gluster', 'rebalance', 'stop'],
    summary: 'stop a rebalance; what has been moved stays moved',
    details: 'Also clears one that has ended, or is stale.',
    args: [hostArgument, volumeArgument],
    options: [idOption],
    examples: [{ line: 'hostbus gluster rebalance stop h1 vol1', says: 'prints its last words' }],
    load: async () => (await import('./gluster.ts')).rebalanceStop,
  },
  {
    path: ['gluster', 'remove-brick', 'start'],
    summary: 'start to move the files away from bricks that are to go',
    details: `Answers once Gluster has registered it, within about 10 s; commit takes the bricks out. ${followed}`,
    args: [hostArgument, volumeArgument, bricksArgument],
    options: [
      idOption,
      followOption,
      { flags: '--replica <N>', description: "the volume's replica count afterwards" },
    ],
    examples: [
      {
        line: `hostbus gluster remove-brick start h1 vol1 ${brick} --follow`,
        says: 'until all files are moved',
      },
    ],
    load: async () => (await import('./gluster.ts')).removalStart,
  },
  {
    path: ['gluster', 'remove-brick', 'status'],
    summary: 'how far the removal of bricks is',
    details: followed,
    args: [hostArgument, volumeArgument, bricksArgument],
    options: [followOption],
    examples: [{ line: `hostbus gluster remove-brick status h2 vol1 ${brick}`, says: 'from another host' }],
    load: async () => (await import('./gluster.ts')).removalStatus,
  },
  {
    path: ['gluster', 'remove-brick', 'stop'],
    summary: 'stop the removal of bricks: they stay in the volume',
    args: [hostArgument, volumeArgument, bricksArgument],
    options: [idOption],
    examples: [{ line: `hostbus gluster remove-brick stop h1 vol1 ${brick}`, says: 'prints its last words' }],
    load: async () => (await import('./gluster.ts')).removalStop,
  },
  {
    path: ['gluster', 'remove-brick', 'commit'],
    summary: 'take bricks out of the volume whose files have been moved',
    details:
      'Files that failed or were skipped stay on the bricks, out of the volume: look at the status first.',
    args: [hostArgument, volumeArgument, bricksArgument],
    options: [idOption],
    examples: [
      { line: `hostbus gluster remove-brick commit h1 vol1 ${brick}`, says: 'after its completion' },
    ],
    load: async () => (await import('./gluster.ts')).removalCommit,
  },
];
