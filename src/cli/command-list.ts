/** The commands, in the order in which help shows them. */
import type { CommandSpec } from './command-spec.ts';
import { domainCommands } from './commands-domain.ts';
import { generalCommands } from './commands-general.ts';
import { imageCommands } from './commands-image.ts';
import { taskCommands } from './commands-task.ts';

export const commands: readonly CommandSpec[] = [
  ...generalCommands,
  ...taskCommands,
  ...imageCommands,
  ...domainCommands,
];

/** What a group of commands is about. */
export const groups: Readonly<Record<string, string>> = {
  task: 'look at tasks, wait for them, cancel them',
  image: 'look at disk images, make, copy, check and delete them',
  domain: 'look at storage domains, make, connect and disconnect them',
};
