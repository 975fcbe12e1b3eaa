/** The commands, in the order in which help shows them. */
import type { CommandSpec } from './command-spec.ts';
import { domainCommands } from './commands-domain.ts';
import { generalCommands } from './commands-general.ts';
import { glusterCommands } from './commands-gluster.ts';
import { imageCommands } from './commands-image.ts';
import { taskCommands } from './commands-task.ts';

export const commands: readonly CommandSpec[] = [
  ...generalCommands,
  ...taskCommands,
  ...imageCommands,
  ...domainCommands,
  ...glusterCommands,
];

/** What a group of commands is about, by the words that lead to it. */
export const groups: Readonly<Record<string, string>> = {
  task: 'look at tasks, wait for them, cancel them',
  image: 'look at disk images, make, copy, check and delete them',
  domain: 'look at storage domains, make, connect and disconnect them',
  gluster: 'rebalances and removals of bricks',
  'gluster rebalance': "spread a volume's files over its bricks",
  'gluster remove-brick': 'move the files away from bricks, and take these out of the volume',
};
